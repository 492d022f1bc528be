"""Few-shot over a real index: who is shown, how it is counted, and what is refused before a fit."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from chat_server import Server
from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cli.main import app
from vesalius.combine.few_shot.learner import FewShot, FewShotAnswers, FewShotSettings
from vesalius.combine.prompting import Cases
from vesalius.combine.retrieval import indexing
from vesalius.combine.retrieval.lookup import whole_index
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Lesson, Piece, Streaming
from vesalius.models.remote.client import Server as Connection
from vesalius.models.remote.model import RemoteModel
from vesalius.recipe import Data, Decoding, Recipe, Retrieve
from vesalius.run import Run
from vesalius.steps.check import check
from vesalius.steps.export import export
from vesalius.steps.fit import fit
from vesalius.steps.load import load
from vesalius.steps.members import digest
from vesalius.steps.predict import predict
from vesalius.steps.retrieve import build

torch.set_num_threads(1)
ASKED = "Describe this image."


def drawing(seed: int) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 255, (5, 5), dtype=np.uint8)
    return Image.fromarray(small).resize((80, 80), Image.Resampling.BICUBIC).convert("RGB")


def stored(seed: int, key: str) -> Picture:
    file = BytesIO()
    drawing(seed).save(file, "PNG")
    return Picture(key, file.getvalue)


def case(name: str, *pictures: Picture, question: str = ASKED) -> Dialogue:
    turn = Turn(Question(question, answers=(Answer(f"a film of {name}"),)), pictures)
    return Dialogue(f"{name}/1", (turn,), group=name.partition("-")[0], case=name)


# Patient A has two cases; the others one each.
TRAIN = [
    case("A-1", stored(1, "a1")),
    case("A-2", stored(2, "a2")),
    *(case(f"{name}-1", stored(10 + n, name)) for n, name in enumerate("BCDE")),
]


class Uncounted:
    """Answers with how many turns it was shown; a server's model, which counts no tokens."""

    needs_image = True
    takes_pictures = "required"
    pictures_in_turns = True

    def __init__(self) -> None:
        self.prompts: list[Dialogue] = []

    def predict(self, dialogues: Sequence[Dialogue], _: Decoding) -> list[Prediction]:
        self.prompts += dialogues
        return [Prediction.of(one, Answer(f"{len(one.turns)} turns")) for one in dialogues]


class Member(Uncounted):
    """The same that takes at most so many turns."""

    def __init__(self, most: int = 100) -> None:
        super().__init__()
        self.most = most

    def fits(self, dialogue: Dialogue) -> bool:
        return len(dialogue.turns) <= self.most


class Talking(Member):
    def stream(
        self, dialogues: Sequence[Dialogue], decoding: Decoding, **_: Any
    ) -> Iterator[Piece]:
        for place, one in enumerate(self.predict(dialogues, decoding)):
            yield from ((place, one.text), (place, one))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = Recipe(name="r", data=Data(dataset="none"), model={"name": "m"})
    run = Run.create(tmp_path_factory.mktemp("few-shot") / "run", recipe)
    settings = FewShot(FewShotSettings(threshold=-1.0)).index_settings
    indexing.write_index(run.index, indexing.index_entries(TRAIN, ASKED), settings, {})
    return run


def model(run: Run, member: Any, **settings: Any) -> FewShotAnswers:
    block = FewShotSettings(**{"threshold": -1.0, **settings})
    cases = Cases(whole_index(run))
    # A module's tests share an index; its settings say who passes, as the recipe's would have.
    cases.retriever.settings = block.index_settings(block.side)
    return FewShotAnswers(block, {"vlm": member}, cases)


def test_neighbours_are_turns_with_their_small_pictures_and_are_cited(run: Run) -> None:
    member, asked = Member(), case("F-1", stored(99, "new"))
    (answer,) = model(run, member, neighbours=2).predict([asked], Decoding())
    (prompt,) = member.prompts
    *shots, last = prompt.turns
    assert last == asked.turns[0]
    assert [turn.question.text for turn in shots] == [ASKED, ASKED]
    cited = answer.neighbours
    assert [n.similarity for n in cited] == sorted((n.similarity for n in cited), reverse=True)
    assert [turn.reply and turn.reply.text for turn in shots] == [n.text for n in cited[::-1]]
    assert [turn.pictures[0].key for turn in shots] == [f"shot:{n.picture}" for n in cited[::-1]]
    assert shots[0].pictures[0].pixels().size == (80, 80)
    assert answer.references == (Answer("a film of F-1"),)
    assert (answer.id, answer.picture, answer.notes) == ("F-1/1", "new", {"shots": 2})


def test_trap_retrieval_may_return_the_test_image_itself_or_the_same_patient(run: Run) -> None:
    asked = [
        TRAIN[0],  # known by its key and its patient
        replace(TRAIN[0], group="?", turns=(Turn(Question(ASKED), (stored(1, "upload"),)),)),
    ]
    answers = model(run, Member(), neighbours=10).predict(asked, Decoding())
    for answer in answers:
        assert {n.case for n in answer.neighbours} == {"B-1", "C-1", "D-1", "E-1"}


def test_none_that_passes_is_zero_shot_and_counted(run: Run) -> None:
    member, asked = Member(), case("F-1", stored(99, "new"))
    (answer,) = model(run, member, threshold=0.9999).predict([asked], Decoding())
    assert member.prompts == [asked]
    assert answer.evidence == ()
    assert answer.notes == {"shots": 0, "zero_shot": 1, "fewer_than_k": 1}


def test_fewer_neighbours_than_k_are_told_not_refused(run: Run) -> None:
    (answer,) = model(run, Member(), neighbours=50).predict(
        [case("F-1", stored(99, "new"))], Decoding()
    )
    assert answer.notes == {"shots": 6, "fewer_than_k": 1}


def test_a_context_that_overflows_loses_the_least_similar_first(run: Run) -> None:
    asked = case("F-1", stored(99, "new"))
    (whole,) = model(run, Member(), neighbours=4).predict([asked], Decoding())
    (cut,) = model(run, Member(most=3), neighbours=4).predict([asked], Decoding())
    assert cut.neighbours == whole.neighbours[:2]  # two shots and the question
    assert cut.notes == {"shots": 2, "dropped_shots": 2}


def test_where_the_member_cannot_count_the_setting_does(run: Run) -> None:
    few = model(run, Uncounted(), neighbours=4, context=250, picture_tokens=100)
    (answer,) = few.predict([case("F-1", stored(99, "new"))], Decoding())
    # Question 20 characters, a shot 20 + 13: with one 53, 14 tokens, and 100 a picture: 214; with
    # two 86, 22 tokens: 322.
    assert answer.notes == {"shots": 1, "dropped_shots": 3}


def test_a_streaming_member_streams(run: Run, tmp_path: Path) -> None:
    few = FewShot(FewShotSettings(threshold=-1.0)).load(run, members={"vlm": Talking()})
    assert isinstance(few, Streaming)
    pieces = list(few.stream([case("F-1", stored(99, "new"))], Decoding()))
    assert pieces[0] == (0, "2 turns")
    place, last = pieces[1]
    assert place == 0
    assert isinstance(last, Prediction)
    assert (last.id, last.notes) == ("F-1/1", {"shots": 1})
    assert not isinstance(
        FewShot(FewShotSettings()).load(run, members={"vlm": Member()}), Streaming
    )


def test_one_by_one_is_the_same(run: Run) -> None:
    asked = [case("F-1", stored(99, "new")), case("G-1", stored(98, "newer"))]
    few = model(run, Member(), neighbours=2)
    assert list(few.predict_each(asked, Decoding())) == few.predict(asked, Decoding())


def test_under_a_control_other_cases_are_shown(run: Run) -> None:
    few = model(run, Member(), neighbours=5)
    (guarded,) = few.predict([TRAIN[0]], Decoding())
    (unguarded,) = few.with_neighbours("unguarded").predict([TRAIN[0]], Decoding())
    assert "A-2" not in {n.case for n in guarded.neighbours}
    assert "A-2" in {n.case for n in unguarded.neighbours}  # its patient, never itself
    assert "A-1" not in {n.case for n in unguarded.neighbours}


def test_a_dialogue_without_a_picture_is_refused(run: Run) -> None:
    with pytest.raises(ModelError, match=r"bare.*no picture"):
        model(run, Member()).predict([Dialogue("bare", (Turn(Question("?")),), "g")], Decoding())


def test_a_server_is_sent_turns_with_pictures_and_it_is_said_where_it_is_elsewhere(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    server = Server()
    try:
        remote = RemoteModel(Connection(server.url, model="echo"))
        (answer,) = model(run, remote, neighbours=2).predict(
            [case("F-1", stored(99, "new"))], Decoding()
        )
    finally:
        server.close()
    roles = [(one["role"], len(one["content"])) for one in server.seen[0]["messages"]]
    assert [role for role, _ in roles] == ["user", "assistant"] * 2 + ["user"]
    shown = [one["content"] for one in server.seen[0]["messages"] if one["role"] == "user"]
    assert [[part["type"] for part in parts] for parts in shown] == [["image_url", "text"]] * 3
    assert answer.notes == {"shots": 2}
    assert "another machine" not in caplog.text
    elsewhere = RemoteModel(Connection("https://models.example/v1", model="echo"))
    with caplog.at_level(logging.WARNING):
        FewShot(FewShotSettings()).load(run, members={"vlm": elsewhere})
    assert "pictures and words of similar training cases go to another machine" in caplog.text


DATA = {
    "dataset": "phantom",
    "options": {"cases": {"train": 6, "validation": 1, "test": 2}, "size": 32},
}
VLM = {"name": "generative", "tiny": True, "family": "llava", "roles": {}}


def recipe(member: dict[str, Any], **settings: Any) -> Recipe:
    content = {
        "name": "few",
        "data": {**DATA, "task": "caption"},
        "model": {"name": "few_shot", "members": {"vlm": member}, "threshold": -1.0, **settings},
        "decoding": {"max_new_tokens": 3},
        "evaluation": {"metrics": ["rouge"], "watch": "rouge.L", "resamples": 0},
    }
    return Recipe.model_validate(content)


@pytest.mark.parametrize(
    ("member", "settings", "match"),
    [
        ({"name": "majority"}, {}, r"members\.vlm: reads no turns before a question"),
        (
            {**VLM, "family": "blip2_opt"},
            {"pictures": "turns"},
            "pictures before the first question",
        ),
        (VLM, {"side": 4000}, "side"),
        (VLM, {"sides": 4}, "sides"),
    ],
)
def test_refused_before_a_folder_is_made(
    member: dict[str, Any], settings: dict[str, Any], match: str, tmp_path: Path
) -> None:
    with pytest.raises((RecipeError, ModelError), match=match):
        fit(recipe(member, **settings), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_retrieve_block_beside_it_is_refused(tmp_path: Path) -> None:
    whole = recipe(VLM).model_copy(update={"retrieve": Retrieve()})
    with pytest.raises(RecipeError, match="index of its own"):
        check(whole, tmp_path / "run")


def test_text_only_shots_are_chosen_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        check(recipe({**VLM, "family": "blip2_opt"}), tmp_path / "run")
    assert "reads all pictures before the first question" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        check(recipe(VLM), tmp_path / "run")
    assert "pictures" not in caplog.text


def test_no_training_picture_is_an_empty_index(tmp_path: Path) -> None:
    bare = [Dialogue("d", (Turn(Question("?", answers=(Answer("x"),))),), "g")]
    learner = FewShot(FewShotSettings())
    with pytest.raises(ModelError, match="no training dialogue shows a picture"):
        learner.rehearse([(learner, bare)], 0)
    with pytest.raises(ModelError, match="no training dialogue shows a picture"):
        learner.fit(Lesson(bare), Run(tmp_path))


def test_a_run_answers_cites_counts_and_builds_its_index_again(tmp_path: Path) -> None:
    run = fit(recipe(VLM, neighbours=2, side=24), tmp_path / "run")
    assert predict(run) == 2
    for answer in run.predictions():
        assert len(answer.neighbours) == 2
        assert all(len(one.text or "") > 20 for one in answer.neighbours)  # captions, whole
        assert answer.references
    assert run.counts() == {"shots": 4}
    assert "shots 4" in CliRunner().invoke(app, ["predict", "--run", str(run.path)]).output
    before = [one.neighbours for one in run.predictions()]
    assert build(run)["settings"]["thumbnails"] == 24  # the model's own settings, not a default's
    again = load(run)
    assert max(again._picture(near).pixels().size[0] for near in before[0]) == 24  # type: ignore[attr-defined]


@pytest.mark.slow
def test_what_a_run_answers_by_is_part_of_it_and_must_be_whole(tmp_path: Path) -> None:
    run = fit(recipe(VLM, neighbours=2, side=24), tmp_path / "run")
    export(run, tmp_path / "alone", check=1)
    card = (tmp_path / "alone" / "README.md").read_text()
    assert "every word that experts said of 6 training cases" in card
    assert "small pictures of them (24 pixels)" in card
    first = digest(run)
    build(run)
    assert digest(run) == first
    build(run, Retrieve(thumbnails=16, whole=True))
    assert digest(run) != first
    build(run, Retrieve())
    with pytest.raises(RunError, match=r"answers that were cut.*retrieve --build"):
        load(run)
