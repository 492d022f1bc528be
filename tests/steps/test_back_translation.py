"""Questions translated there and back: by any model, kept, resumed, never mixed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from vesalius import Recipe, Run, fit, predict, probe
from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.data.perturb.translations import FILE, wordings
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.evaluation.probe_results import probes_of
from vesalius.recipe import Decoding
from vesalius.steps.back_translation import translate
from vesalius.steps.judges import Judge
from vesalius.system.files import append_lines

QUESTIONS = {"is there a mass?": "yes", "which side?": "left", "how many?": "two"}
GERMAN = {
    "is there a mass?": "Gibt es eine Raumforderung?",
    "which side?": "Welche Seite?",
    "how many?": "Wie viele?",
}
BACK = {
    "Gibt es eine Raumforderung?": "Is a mass present?",
    "Welche Seite?": "Which side?",  # the same words
    "Wie viele?": "",
}


@dataclass
class Translator:
    """It knows three questions."""

    needs_image: bool = False
    asked: list[str] = field(default_factory=list)

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        replies = []
        for dialogue in dialogues:
            prompt = dialogue.question.text
            self.asked.append(prompt)
            known = BACK if "into English" in prompt else GERMAN
            text = next(out for text, out in known.items() if prompt.endswith(text))
            replies.append(Prediction.of(dialogue, Answer(text)))
        return replies


def judge(model: Translator, label: str = "t") -> Judge:
    return Judge(label, model, {"judge": label}, frozenset(), Decoding(batch=2))


@pytest.fixture
def run(tmp_path: Path) -> Run:
    rows = []
    for i, (question, answer) in enumerate(QUESTIONS.items()):
        Image.new("L", (32, 32), 60 * i).save(tmp_path / f"{i}.png")
        words = {"question": question, "answer": answer}
        rows.append({"id": f"c{i}", "image": f"{i}.png", "group": f"g{i}", **words})
    for split in ("train", "test"):
        append_lines(tmp_path / f"{split}.jsonl", rows)
    place = {"dataset": "folder", "root": str(tmp_path), "splits": {"validation": None}}
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "data": place | {"leaks": "allow"},
            "model": {"name": "majority"},
            "evaluation": {"metrics": ["squad"], "resamples": 50},
        }
    )
    return fit(recipe, tmp_path / "run")


def test_what_came_back_in_other_words_is_asked(run: Run) -> None:
    translator = Translator()
    translate(run, judge(translator))
    assert wordings(run.path) == {
        "is there a mass?": "Is a mass present?",
        "which side?": "Which side?",
    }
    assert translator.asked[0] == (
        "Translate this question into German. Reply with the translation alone. is there a mass?"
    )
    probe(run, only=["back-translated"])
    row = probes_of(run).row("back-translated")
    # majority knows its questions word by word: another wording has the commonest answer of all
    assert row.n == 1
    (asked,) = run.predictions("back-translated")
    assert asked.question == "Is a mass present?"
    assert predict(run, change="back-translated") == 1


def test_what_is_there_is_not_asked_again(run: Run) -> None:
    translate(run, judge(Translator()))
    again = Translator()
    translate(run, judge(again))
    assert len(again.asked) == 2  # the one without an answer, there and back
    with pytest.raises(RunError, match="is of another translator or language"):
        translate(run, judge(again, "other"))
    with pytest.raises(RunError, match="is of another translator or language"):
        translate(run, judge(again), "French")


def test_a_killed_translation_goes_on(run: Run) -> None:
    translate(run, judge(Translator()), limit=2)
    file = run.path / FILE
    whole = file.read_text()
    file.write_text(whole[: whole.index("\n") + 20])
    translate(run, judge(Translator()), limit=2)
    assert file.read_text() == whole
    assert json.loads(whole.splitlines()[0])["there"] == "Gibt es eine Raumforderung?"


def test_refusals(run: Run) -> None:
    with pytest.raises(
        RecipeError, match=r"there and back reads otherwise \(probe --translated-by"
    ):
        probe(run, only=["back-translated"])
    with pytest.raises(ModelError, match="answers about pictures alone"):
        translate(run, judge(Translator(needs_image=True)))
    probe(run)
    assert not probes_of(run).row("back-translated").measured
