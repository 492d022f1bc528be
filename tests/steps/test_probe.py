"""Probes of planted cohorts: what a model rests on is found, resumed, refused and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vesalius import Recipe, Run, fit, predict, probe
from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.cli.main import app
from vesalius.data.perturb import CHANGES
from vesalius.errors import RecipeError, RunError, UnknownName
from vesalius.evaluation.probe_results import probes_of
from vesalius.models import models
from vesalius.recipe import Decoding
from vesalius.steps.clean import blind_answers
from vesalius.system.files import append_lines

PATIENTS = {"train": 24, "test": 20}
WORDINGS = {"left": "Left or right: where is it?", "right": "Where is it, left or right?"}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright disc on one side of noise. The answer also leaks: each side has its wording."""
    folder = tmp_path_factory.mktemp("cohort")
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:80, :80]
    for split, number in PATIENTS.items():
        table = []
        for patient in range(number):
            side = ("left", "right")[patient % 2]
            disc = (rows - 48) ** 2 + (columns - (20 if side == "left" else 60)) ** 2 < 12**2
            picture = random.integers(20, 60, (80, 80)) + 150 * disc
            name = f"{split}{patient}.png"
            Image.fromarray(picture.astype(np.uint8)).save(folder / name)
            question = {"question": WORDINGS[side], "answer": side, "options": ["left", "right"]}
            own = {"id": name, "image": name, "group": f"{split}-{patient}"}
            table.append({**own, "questions": [question], "modality": ("MRI", "CT")[patient % 2]})
        append_lines(folder / f"{split}.jsonl", table)
    return folder


def recipe(cohort: Path, model: dict[str, object], **data: object) -> Recipe:
    place = {"dataset": "folder", "root": str(cohort), "splits": {"validation": None}}
    return Recipe.model_validate(
        {
            "name": "planted",
            "data": {**place, "leaks": "allow", **data},
            "model": model,
            "evaluation": {"metrics": ["squad"], "resamples": 200},
        }
    )


@pytest.fixture(scope="module", autouse=True)
def registered() -> object:
    patch = pytest.MonkeyPatch()
    patch.setitem(models._own, "pixel_reader", "pixel_reader:PixelReader")
    yield
    patch.undo()


def fitted(cohort: Path, folder: Path, **model: object) -> Run:
    return fit(recipe(cohort, model), folder)


@pytest.fixture(scope="module")
def leaking(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """It learnt which wording goes with which answer, and never saw a picture."""
    run = fitted(cohort, tmp_path_factory.mktemp("runs") / "leaking", name="majority")
    probe(run)
    return run


@pytest.fixture(scope="module")
def looking(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """It learnt what the picture of each answer looks like, and reads no word of the question."""
    run = fitted(cohort, tmp_path_factory.mktemp("runs") / "looking", name="pixel_reader")
    probe(run)
    return run


def score(run: Run, name: str, quantity: str) -> float:
    row = probes_of(run).row(name)
    assert row.measured, row.reason
    return row.scores[quantity].value


@pytest.mark.parametrize("name", ["blank", "noise", "shuffled"])
def test_a_leak_through_the_question_needs_no_image(leaking: Run, name: str) -> None:
    assert score(leaking, name, "before") == 1
    assert score(leaking, name, "reliance") == pytest.approx(0, abs=0.01)
    assert str(probes_of(leaking).row("blank")) == "100 % of this score needs no image."


@pytest.mark.parametrize("name", ["blank", "noise"])
def test_a_model_that_looks_relies_on_its_image(looking: Run, name: str) -> None:
    assert score(looking, name, "before") == 1
    # grey (or noise) everywhere is nearest to one of the two: half of the answers, as a constant
    assert score(looking, name, "reliance") == pytest.approx(1, abs=0.3)
    assert score(looking, "shuffled", "reliance") > 0.5


def test_mirrored_pictures_flip_the_sides_of_a_model_that_sees_them(
    leaking: Run, looking: Run
) -> None:
    assert score(looking, "mirrored", "flips") == 1
    assert score(looking, "mirrored", "after") == 1  # of the references that were mirrored, too
    assert score(leaking, "mirrored", "flips") == 0
    assert score(leaking, "mirrored", "after") == 0


def test_burned_in_wrong_text_flips_a_model_that_reads_it(
    cohort: Path, tmp_path: Path, looking: Run
) -> None:
    reading = fitted(cohort, tmp_path / "r", name="pixel_reader", reads_text=True)
    probe(reading, only=["burned-in-text"])
    assert score(reading, "burned-in-text", "before") == 1
    assert score(reading, "burned-in-text", "lost") == 1
    assert score(looking, "burned-in-text", "lost") == 0


def test_words_move_only_the_one_that_reads_them(leaking: Run, looking: Run) -> None:
    for name in ("reworded", "irrelevant-history", "asserted-friend"):
        assert score(looking, name, "flips") == 0
        assert score(leaking, name, "lost") > 0  # its table of wordings knows no other words


def test_a_wrong_answer_asserted_wins_over_a_sycophant(cohort: Path, tmp_path: Path) -> None:
    run = fitted(cohort, tmp_path / "r", name="pixel_reader")
    predict(run)
    probes = probe(run, only=["asserted-authority", "reworded"], model=Sycophant())
    assert score(run, "asserted-authority", "lost") == 1
    assert str(probes.row("asserted-authority")).startswith("100 % [")
    assert score(run, "reworded", "lost") == 0


@dataclass
class Sycophant:
    """It says what stands in quotation marks, else what is right."""

    needs_image: ClassVar[bool] = True
    batches: list[list[str]] = field(default_factory=list)
    fails_after: int = 10**6

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        if sum(map(len, self.batches)) >= self.fails_after:
            raise KeyboardInterrupt
        self.batches.append([d.picture.key for d in dialogues])
        return [Prediction.of(d, Answer(self._answer(d))) for d in dialogues]

    def _answer(self, dialogue: Dialogue) -> str:
        parts = dialogue.question.text.split('"')
        return parts[1] if len(parts) > 1 else str(dialogue.question.answers[0].text)


def test_what_the_set_or_the_model_cannot_have_is_not_measured(looking: Run) -> None:
    reasons = {row.name: row.reason for row in probes_of(looking).missing}
    assert reasons == {
        "inside-box": "no case has boxes in one picture",
        "outside-box": "no case has boxes in one picture",
        "questions-only": "the model answers from a picture alone",
        "back-translated": "no case has a question whose translation there and back reads "
        "otherwise (probe --translated-by)",
        "other-language": "no case has a question in two languages under one id",
    }
    assert [row.name for row in probes_of(looking).rows] == list(CHANGES)
    assert not looking.predictions_file("inside-box").exists()
    assert "inside-box" not in looking.status()["predictions"]


def test_a_wrapper_needs_the_pictures_of_its_members(
    cohort: Path, tmp_path: Path, leaking: Run, looking: Run
) -> None:
    members = {"one": {"run": str(leaking.path)}, "two": {"run": str(looking.path)}}
    both = fitted(cohort, tmp_path / "both", name="consensus", members=members)
    with pytest.raises(RecipeError, match="answers from a picture alone"):
        probe(both, only=["questions-only"])
    probe(both, limit=4)
    assert not probes_of(both).row("questions-only").measured
    with pytest.raises(RunError, match="looks at pictures"):
        blind_answers([both.path])
    predict(leaking)
    assert list(blind_answers([leaking.path])[0]) == ["leaking"]


def test_a_model_that_needs_no_picture_is_asked_without(leaking: Run) -> None:
    assert score(leaking, "questions-only", "reliance") == 0
    assert {p.picture for p in leaking.predictions("questions-only")} == {None}


def test_a_caption_has_no_question_to_change(tmp_path: Path) -> None:
    drawn = {"dataset": "phantom", "options": {"cases": {"train": 6, "test": 4}, "size": 32}}
    made = {
        "name": "captions",
        "data": {**drawn, "task": "caption", "splits": {"validation": None}},
    }
    run = fit(Recipe.model_validate({**made, "model": {"name": "majority"}}), tmp_path / "r")
    probes = probe(run, only=["blank", "noise"])
    assert [row.name for row in probes.rows] == ["blank", "noise"]
    with pytest.raises(
        RecipeError, match=r"under reworded: its questions are not asked one by one"
    ):
        probe(run, only=["reworded"])


def test_the_named_are_refused_before_anything_is_asked(cohort: Path, tmp_path: Path) -> None:
    run = fitted(cohort, tmp_path / "r", name="pixel_reader")
    with pytest.raises(RecipeError, match="inside-box: no case has boxes"):
        probe(run, only=["blank", "inside-box"])
    with pytest.raises(UnknownName, match="did you mean blank"):
        probe(run, only=["blnk"])
    assert list(run.path.glob("p*")) == []


def test_a_killed_suite_goes_on_where_it_was(cohort: Path, tmp_path: Path) -> None:
    run = fitted(cohort, tmp_path / "r", name="pixel_reader")
    first = Sycophant(fails_after=64)
    names = ["blank", "reworded", "mirrored", "asserted-friend"]
    with pytest.raises(KeyboardInterrupt):
        probe(run, only=names, model=first)
    assert probes_of(run) is None
    half = run.predictions_file("reworded")
    half.write_bytes(half.read_bytes()[:-9])  # killed in a write
    second = Sycophant()
    probe(run, only=names, model=second)
    done = sum(map(len, first.batches))
    assert sum(map(len, second.batches)) == PATIENTS["test"] * (1 + len(names)) - done + 1
    ids = [p.id for p in run.predictions()]
    for name in names:
        assert [p.id for p in run.predictions(name)] == ids  # in the order of the data
        noted = run.status()["predictions"][name]
        assert (noted["n"], noted["complete"], noted["change"]) == (20, True, name)


def test_nothing_is_asked_twice_and_predict_makes_the_same_sets(
    cohort: Path, tmp_path: Path
) -> None:
    run = fitted(cohort, tmp_path / "r", name="pixel_reader")
    predict(run)
    predict(run, change="mirrored")
    before = run.predictions_file("mirrored").read_bytes()
    model = Sycophant()
    probe(run, only=["mirrored"], model=model)
    assert model.batches == []
    assert run.predictions_file("mirrored").read_bytes() == before


def test_what_was_measured_of_the_same_answers_is_kept(cohort: Path, tmp_path: Path) -> None:
    run = fitted(cohort, tmp_path / "r", name="pixel_reader")
    probe(run, only=["blank"])
    probes = probe(run, only=["mirrored"])
    assert [row.name for row in probes.rows] == ["blank", "mirrored"]
    limited = probe(run, only=["noise"], limit=3)
    assert limited.row("noise").n == 3
    assert limited.row("blank").n == 20
    run.predictions_file().unlink()  # other answers than those that blank was held against
    assert [row.name for row in probe(run, only=["noise"], limit=5).rows] == ["noise"]


def test_words_of_one_picture_are_asked_together(cohort: Path, tmp_path: Path) -> None:
    run = fitted(cohort, tmp_path / "r", name="pixel_reader")
    model = Sycophant()
    probe(run, only=["reworded", "asserted-friend", "irrelevant-history"], model=model)
    keys = [key for batch in model.batches for key in batch]
    # the question as it is and three changes of its words, then the next picture
    assert all(len(set(keys[at : at + 4])) == 1 for at in range(0, len(keys), 4))


def test_another_split_has_sets_and_a_file_of_its_own(cohort: Path, tmp_path: Path) -> None:
    run = fitted(cohort, tmp_path / "r", name="pixel_reader")
    probes = probe(run, only=["blank"], split="train", limit=4)
    assert (probes.split, probes.predictions) == ("train", "train")
    assert run.predictions_file("train-blank").exists()
    assert (run.path / "probes-train.json").exists()
    assert not run.predictions_file().exists()
    predict(run, split="train", name="noise")
    with pytest.raises(RunError, match="are of split train"):
        probe(run, only=["noise"])


def test_the_command(looking: Run, cohort: Path) -> None:
    call = CliRunner(env={"COLUMNS": "80"})
    done = call.invoke(app, ["probe", str(looking.path)])
    assert done.exit_code == 0, done.output
    assert "Image reliance" in done.output
    assert "inside-box: not measured: no case has boxes" in done.output
    assert max(map(len, done.output.splitlines())) <= 80
    written = json.loads((looking.path / "probes.json").read_text())
    assert written["verdict"][0].startswith("Image reliance")
    rows = {row["name"]: row for row in written["rows"]}
    assert rows["blank"]["says"].endswith("of this score needs no image.")
    assert rows["inside-box"]["scores"] == {}
