"""The table of tasks: ours, and those of other packages."""

from __future__ import annotations

from pathlib import Path

import pytest

from outside import install
from vesalius import Answer, Case, Question, Recipe
from vesalius.cases.tasks import TASKS, task_of
from vesalius.data.dialogues import to_dialogues
from vesalius.errors import UnknownName, VesaliusError

MODULE = """
from vesalius import Answer, Question
from vesalius.cases.tasks import Task

def questions(case):
    return [
        Question(f"is it {word}?", id=word, answers=(Answer(text="yes"),)) for word in ("a", "b")
    ]

BOTH = Task("both", "questions", questions=questions)
TALK = Task("talk", "questions", has_turns=True, questions=questions)
"""
CASE = Case(
    id="c", group="g", pictures=(), questions=(Question("what?", answers=(Answer(text="x"),)),)
)


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = {name: f"outside_tasks:{name.upper()}" for name in ("both", "talk")}
    entries |= {"other": "outside_tasks:BOTH", "none": "outside_tasks:questions"}
    install(tmp_path, {"outside_tasks.py": MODULE}, {"vesalius.tasks": entries})
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(vars(TASKS), "_targets", raising=False)
    yield
    vars(TASKS).pop("_targets", None)


def test_ours_are_known_and_a_slip_is_named() -> None:
    assert task_of("detect").references == "boxes"
    assert task_of("vqa").asks_apart
    assert not task_of("dialogue").asks_apart
    with pytest.raises(UnknownName, match="did you mean caption"):
        task_of("captions")
    with pytest.raises(ValueError, match="no task called 'captions'"):
        Recipe.model_validate(
            {"name": "r", "data": {"dataset": "d", "task": "captions"}, "model": {"name": "m"}}
        )


def test_another_packages_task_makes_its_own_questions(outside: None) -> None:
    apart = list(to_dialogues(CASE, "both"))
    assert [d.id for d in apart] == ["c/a", "c/b"]
    assert [d.question.text for d in apart] == ["is it a?", "is it b?"]
    (talk,) = to_dialogues(CASE, "talk")
    assert [turn.question.text for turn in talk.turns] == ["is it a?", "is it b?"]
    data = {"dataset": "d", "task": "both"}
    assert Recipe.model_validate({"name": "r", "data": data, "model": {"name": "m"}})


@pytest.mark.parametrize("name", ["other", "none"])
def test_what_is_no_task_of_its_name_is_refused(outside: None, name: str) -> None:
    with pytest.raises(VesaliusError, match=f"the task '{name}' of another package is no Task"):
        task_of(name)
