"""Runs and their files: whole or absent, resumable, self-contained."""

from __future__ import annotations

from pathlib import Path

import pytest

from vesalius import (
    Answer,
    Box,
    Confidence,
    Dialogue,
    Neighbour,
    Picture,
    Prediction,
    Question,
    Recipe,
    Run,
    Turn,
    Usage,
)
from vesalius.errors import RunError
from vesalius.run import read_predictions
from vesalius.system.files import append_lines, read_json, write_atomic, write_json

RECIPE = Recipe.model_validate(
    {"name": "r", "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
)


def prediction(name: str = "a/1") -> Prediction:
    question = Question(
        "where?",
        answers=(Answer("left"), Answer(boxes=())),
        category="side",
        options=("left", "right"),
    )
    turn = Turn(question, (Picture("k", lambda: b""),))
    return Prediction.of(
        Dialogue(name, (turn,), "patient", case="a", modality="ct"),
        Answer("left", boxes=(Box(1, 2, 3, 4, "mass", polygon=((0, 0), (1, 1), (2, 0))),)),
        confidence=Confidence(0.5, "made up"),
        scores={"left": 0.5},
        evidence=(Neighbour("b", 0.25, "k2", "right"),),
        usage=Usage(3, 2, 1, 0.5),
        finish="stop",
    )


def test_a_prediction_survives_its_row() -> None:
    one = prediction()
    row = one.to_row()
    assert Prediction.from_row(row) == one
    assert row["references"][1] == {"boxes": []}  # none present is not "not annotated"


def test_a_row_of_somebody_else_is_read_too() -> None:
    one = Prediction.from_row({"id": "1", "answer": "yes", "references": ["no"]})
    assert (one.text, one.references) == ("yes", (Answer("no"),))
    with pytest.raises(RunError, match="not a prediction row"):
        Prediction.from_row({"id": "1", "answer": "yes", "colour": 2})


BOX = {"x": 1, "y": 2, "width": 3, "height": 4, "label": "mass"}


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        ({"references": "yes"}, "references: it should be a list"),
        ({"references": [{"text": "a"}, 3]}, r"references\.1: it should be a dictionary"),
        ({"options": "yes"}, "options: it should be a list"),
        ({"options": ["a", 3]}, r"options\.1: it should be a valid string"),
        ({"evidence": "b"}, "evidence: it should be a list"),
        ({"evidence": [{"case": "b"}]}, r"evidence\.0\.similarity: Field required"),
        ({"answer": None}, "there is no answer"),
        ({"answer": 3}, "answer: it should be a dictionary"),
        ({"answer": True}, "answer: it should be a dictionary or text, and is true or false"),
        ({"answer": float("nan")}, 'there is no answer .* not given is ""'),  # written as null
        ({"references": ["a", None]}, r"references\.1: .* and is null"),
        ({"answer": {}}, "answer: an answer needs text"),
        ({"answer": {"text": 3}}, r"answer\.text: it should be a valid string"),
        ({"answer": {"boxes": [BOX | {"width": 0}]}}, "answer: a box needs a positive size"),
        ({"answer": {"boxes": [BOX | {"scroe": 1}]}}, r"answer\.boxes\.0\.scroe: Unexpected"),
        ({"references": [{"boxes": [BOX | {"x": "left"}]}]}, r"references\.0\.boxes\.0\.x: "),
        ({"confidence": {"value": 1.5, "method": "x"}}, "confidence: a confidence lies in"),
        ({"confidence": 0.5}, "confidence: it should be a dictionary"),
        ({"kind": "opened"}, "kind: it should be 'open' or 'closed'"),
        ({"id": None}, "there is no id"),
        ({"scores": {"a": "much"}}, r"scores\.a: "),
    ],
)
def test_a_false_row_is_named_by_file_line_and_field(
    tmp_path: Path, said: dict[str, object], fault: str
) -> None:
    file = tmp_path / "theirs.jsonl"
    append_lines(file, [{"id": "1", "answer": "x"}, {"id": "2", "answer": "x"} | said])
    with pytest.raises(RunError, match=rf"theirs\.jsonl line 2: not a prediction row: {fault}"):
        list(read_predictions(file))


def test_a_written_nan_is_no_answer(tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    file.write_text('{"id": "1", "answer": NaN}\n')
    with pytest.raises(RunError, match=r"answer: .* text, and is a number"):
        list(read_predictions(file))


def test_a_field_that_is_null_is_left_out() -> None:
    row = {"id": "1", "answer": "x", "group": None, "references": None, "options": None}
    assert Prediction.from_row(row) == Prediction("1", Answer("x"))


def test_bytes_that_are_no_text_are_named(tmp_path: Path) -> None:
    file = tmp_path / "theirs.jsonl"
    rows = ['{"id": "1", "answer": "größer"}\n'.encode(how) for how in ("utf-8", "latin-1")]
    file.write_bytes(b"".join(rows))
    with pytest.raises(RunError, match=r"theirs\.jsonl: line 2 is not UTF-8 text"):
        list(read_predictions(file))


def test_predictions_stream_and_a_torn_line_is_mended(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", RECIPE)
    run.append([prediction("1"), prediction("2")])
    with run.predictions_file().open("a") as file:
        file.write('{"id": "3", "ans')
    assert run.predicted() == {"1", "2"}
    run.append([prediction("3")])
    assert [p.id for p in run.predictions()] == ["1", "2", "3"]


def test_a_run_is_reopened_by_its_own_recipe_only(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", RECIPE)
    assert not run.fitted
    assert Run.create(tmp_path / "run", RECIPE).recipe() == RECIPE
    with pytest.raises(RunError, match="another recipe"):
        Run.create(tmp_path / "run", RECIPE.model_copy(update={"seed": 5}))
    with pytest.raises(RunError, match="not fitted to the end"):
        run.require_fitted()
    run.finish(steps=1)
    assert run.status()["steps"] == 1
    assert Run.open(tmp_path / "run").fitted


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="not a run"):
        Run.open(tmp_path)
    with pytest.raises(RunError, match="not empty"):
        Run.create(tmp_path, RECIPE)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


def test_a_folder_whose_maker_was_killed_becomes_the_run(tmp_path: Path) -> None:
    for name in ("environment.json", ".status.json.4711"):
        (tmp_path / name).write_text("{")
    run = Run.create(tmp_path, RECIPE)
    assert run.status()["state"] == "fitting"
    names = {"environment.json", "status.json", "recipe.yaml"}
    assert {path.name for path in tmp_path.iterdir()} == names


def test_environment_names_versions_but_no_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("socket.gethostname", "platform.node"):
        monkeypatch.setattr(place, lambda: "machinaria")
    run = Run.create(tmp_path / "run", RECIPE)
    assert "vesalius" in run.environment()["packages"]
    text = (tmp_path / "run" / "environment.json").read_text()
    assert "machinaria" not in text
    assert str(Path.home()) not in text


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"x": float("nan"), "y": (1, 2)})
    assert read_json(path) == {"x": None, "y": [1, 2]}

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vesalius.system.files.os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "broken")
    assert read_json(path)["y"] == [1, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("line", ["{", "[1]"])
def test_a_broken_line_is_named(tmp_path: Path, line: str) -> None:
    run = Run.create(tmp_path / "run", RECIPE)
    run.predictions_file().write_text(line + "\n")
    with pytest.raises(RunError, match="line 1"):
        list(run.predictions())


def asked(**model: object) -> Recipe:
    block = {"name": "generative", "start": None, "training": {"epochs": 1, "batch": 2}, **model}
    return RECIPE.model_copy(update={"model": block})


def test_another_recipe_is_answered_with_the_keys_that_differ(tmp_path: Path) -> None:
    path = tmp_path / "run"
    run = Run.create(path, asked())
    more = asked(
        training={"epochs": 3, "batch": 2}, chat_template="Dear Dr. Example", family="llava"
    )
    with pytest.raises(RunError) as caught:
        Run.create(path, more)
    line = str(caught.value)
    assert "holds an unfinished run of another recipe" in line
    assert "model.training.epochs 1 -> 3" in line
    assert "model.family (not there) -> llava" in line
    assert "model.chat_template" in line
    assert "Example" not in line
    assert "batch" not in line
    assert "model.start" not in line  # there are no weights to go on from yet
    run.finish()
    hint = rf"there, --set model.start={path} goes on from this one's weights"
    with pytest.raises(RunError, match=hint):
        Run.create(path, more)
    with pytest.raises(RunError) as without:
        Run.create(path, RECIPE.model_copy(update={"seed": 5, "model": {"name": "majority"}}))
    assert "model.start=" not in str(without.value)
    assert "seed 0 -> 5" in str(without.value)
    assert run.recipe() == asked()


def test_of_data_only_keys_numbers_and_switches_are_quoted(tmp_path: Path) -> None:
    data = RECIPE.data.model_copy(update={"root": "mueller", "instruction": "Look, Mueller."})
    Run.create(tmp_path / "run", RECIPE)
    limited = data.model_copy(update={"limit": {"train": 3}})
    with pytest.raises(RunError) as caught:
        Run.create(tmp_path / "run", RECIPE.model_copy(update={"data": limited}))
    line = str(caught.value)
    assert "data.root; data.instruction; data.limit.train (not there) -> 3" in line
    assert "ueller" not in line


def test_many_differing_keys_are_counted(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", asked())
    other = asked(training={f"key_{number}": number for number in range(9)})
    with pytest.raises(RunError, match=r"; and \d+ more"):
        Run.create(tmp_path / "run", other)


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"refernces": ["a"]}, "did you mean references"),
        ({"question_id": 1}, "a row has id, answer"),
    ],
)
def test_a_field_of_another_name_says_what_a_row_has(said: dict[str, object], hint: str) -> None:
    with pytest.raises(RunError, match=hint):
        Prediction.from_row({"id": "1", "answer": "x"} | said)
