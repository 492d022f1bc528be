"""Dialogues answered turn by turn: what each turn is asked after, resumed, and scored."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from vesalius import Recipe, Run
from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import RecipeError, RunError, UnknownName
from vesalius.evaluation.histories import histories_of
from vesalius.recipe import Decoding
from vesalius.steps.fit import fit
from vesalius.steps.predict import predict
from vesalius.steps.prepare import dialogues
from vesalius.steps.request import HISTORIES

SAID = {
    "name": "tiny",
    "data": {
        "dataset": "phantom",
        "task": "visual_dialogue",
        "options": {"cases": {"train": 4, "validation": 2, "test": 5}, "size": 48},
    },
    "model": {
        "name": "generative",
        "tiny": True,
        "family": "llava",
        "training": {"max_steps": 1, "batch": 2},
    },
    "decoding": {"max_new_tokens": 3, "batch": 1},
    "evaluation": {"metrics": ["squad", "closed"], "resamples": 20},
}
RECIPE = Recipe.model_validate(SAID)


class Counting:
    """Answers with the number of turns before the one asked, and remembers what it saw."""

    needs_image = False

    def __init__(self) -> None:
        self.asked: list[Dialogue] = []

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        self.asked += dialogues
        return [
            Prediction.of(dialogue, Answer(text=f"answer {len(dialogue.turns) - 1}"))
            for dialogue in dialogues
        ]


@pytest.fixture
def new_run(tmp_path: Path) -> Run:
    made = Run.create(tmp_path / "run", RECIPE)
    made.finish()
    return made


def talks() -> list[Dialogue]:
    return list(dialogues(RECIPE.data, "test"))


@pytest.mark.parametrize("history", HISTORIES)
def test_every_turn_is_asked_after_its_history(new_run: Run, history: str) -> None:
    model = Counting()
    whole = talks()
    count = predict(new_run, history=history, model=model)
    assert count == sum(len(talk.turns) for talk in whole)
    by_id = {dialogue.id: dialogue for dialogue in model.asked}
    assert len(by_id) == count == len(model.asked)
    for talk in whole:
        for at, turn in enumerate(talk.turns):
            dialogue = by_id[f"{talk.case}/{turn.question.id}"]
            assert dialogue.question == turn.question
            assert dialogue.pictures == talk.pictures
            before = [t.reply.text for t in dialogue.turns[:-1] if t.reply]
            golds = [t.question.answers[0].text for t in talk.turns[:at]]
            own = [f"answer {n}" for n in range(at)]
            assert before == {"none": [], "gold": golds, "own": own}[history]
    stored = list(new_run.predictions(f"history-{history}"))
    assert sum(p.category == "summary" for p in stored) == len(whole)
    noted = new_run.status()["predictions"][f"history-{history}"]
    assert (noted["n"], noted["history"], noted["complete"]) == (count, history, True)


def test_the_sets_pair(new_run: Run) -> None:
    for history in HISTORIES:
        predict(new_run, history=history, model=Counting())
    sets = [{p.id: p.references for p in new_run.predictions(f"history-{h}")} for h in HISTORIES]
    assert sets[0] == sets[1] == sets[2]


def test_a_killed_roll_out_goes_on_with_the_answers_it_has(new_run: Run) -> None:
    predict(new_run, history="own", model=Counting())
    file = new_run.predictions_file("history-own")
    rows = file.read_text().splitlines(keepends=True)
    first = json.loads(rows[0])
    first["answer"]["text"] = "said before"
    file.write_text(json.dumps(first) + "\n" + "".join(rows[1:9]) + rows[9][:30])  # torn
    model = Counting()
    assert predict(new_run, history="own", model=model) == len(rows)
    assert len(model.asked) == len(rows) - 9  # what was there is not asked again
    of_first = [d for d in model.asked if d.case == first["case"]]
    assert of_first
    assert all(d.turns[0].reply == Answer(text="said before") for d in of_first)


def test_other_ways_under_one_name_are_refused(new_run: Run) -> None:
    class Dying(Counting):
        def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # begun is enough
        predict(new_run, history="own", name="mine", limit=1, model=Dying())
    assert new_run.status()["predictions"]["mine"]["complete"] is False
    with pytest.raises(RunError, match="history own"):
        predict(new_run, history="gold", name="mine", limit=1, model=Counting())
    with pytest.raises(RunError, match="another --name"):
        predict(new_run, history="own", name="mine", split="train", model=Counting())
    with pytest.raises(UnknownName, match="did you mean gold"):
        predict(new_run, history="golden", model=Counting())


def test_a_blank_picture_has_a_history_too(new_run: Run) -> None:
    predict(new_run, history="own", change="blank", limit=1, model=Counting())
    assert all(
        (p.picture or "").endswith("#blank") for p in new_run.predictions("history-own-blank")
    )


def test_tasks_without_turns(tmp_path: Path) -> None:
    for task, fits in (("vqa", True), ("caption", False)):
        data = {**SAID["data"], "task": task}
        run = Run.create(tmp_path / task, Recipe.model_validate({**SAID, "data": data}))
        run.finish()
        model = Counting()
        if fits:  # the questions of one case are asked one after the other
            predict(run, history="own", limit=1, model=model)
            assert len(model.asked[-1].turns) == len(model.asked) > 1
        else:
            with pytest.raises(RecipeError, match="caption has no turns"):
                predict(run, history="own", model=model)


def test_a_small_model_from_fit_to_the_gap(tmp_path: Path) -> None:
    run = fit(RECIPE, tmp_path / "run")
    with pytest.raises(RunError, match="--history none"):
        histories_of(run)
    for history in HISTORIES:
        predict(run, history=history)
    found = histories_of(run)
    assert found.summary is not None
    turns = sum(len(talk.turns) for talk in talks())
    names = {score.metric for score in found.turns.scores["own"].overall()}
    assert {"squad.em", "closed.accuracy", "dialogue.right", "contradictions.pairs"} <= names
    assert found.turns.gaps["own"].shared == turns - len(talks())
    assert found.summary.gaps["none"].shared == len(talks())
    assert {"rouge.L", "content.negation"} <= {
        score.metric for score in found.summary.scores["none"].overall()
    }
    json.dumps(found.to_json())
