"""Concept-guided decoding: which texts it is drawn to, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vesalius import Recipe
from vesalius.combine.concepts.guided import FILE, Guided, GuidedSettings
from vesalius.combine.concepts.guiding import Guide
from vesalius.combine.concepts.words import ConceptWords
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Lesson
from vesalius.models.build import build
from vesalius.models.generative.learner import Generative
from vesalius.recipe import Data
from vesalius.run import ConceptFacts, Run
from vesalius.steps.check import check
from vesalius.steps.prepare import dialogues

VOCABULARY = ["", "ct", "film", "mass", "cyst"]


class Tokenizer:
    def decode(self, tokens: Sequence[int], skip_special_tokens: bool = True) -> str:
        return " ".join(VOCABULARY[token] for token in tokens).strip()


def same_or_not(words: Sequence[str]) -> np.ndarray:
    """Each word of the vocabulary is an axis."""
    return np.array([[float(word == one) for one in VOCABULARY] for word in words], np.float32)


def guidance(*names: Sequence[str], alpha: float = 0.5, candidates: int = 8) -> Any:
    measure = ConceptWords(same_or_not)
    wanted = {"mass": 1.0, "cyst": 1.0}
    return Guide(Tokenizer(), names, wanted, measure).at(0, alpha, candidates)


def scores(*rows: Sequence[float]) -> Any:
    return torch.tensor(rows).log()


EMPTY: Any = torch.zeros((1, 0), dtype=torch.long)


def test_a_token_that_says_a_concept_is_raised_by_what_it_takes_from_the_penalty() -> None:
    model = scores([0.05, 0.45, 0.3, 0.1, 0.1])
    guided = guidance(["mass"])(EMPTY, model)
    # alpha / (1 - alpha) = 1; "mass" takes the penalty from (0 - 1)^2 to 0, the others leave it
    assert (guided - model)[0].tolist() == pytest.approx([-1, -1, -1, 0, -1], abs=1e-5)


def test_what_is_said_needs_not_be_said_again() -> None:
    model = scores([0.05, 0.45, 0.3, 0.1, 0.1])
    said: Any = torch.tensor([[3]])  # "mass"
    assert (guidance(["mass"])(said, model) - model).abs().max() < 1e-5


def test_beams_of_a_dialogue_share_its_concepts_and_dialogues_do_not() -> None:
    model = scores(*[[0.2] * 5] * 4)
    nothing: Any = torch.zeros((4, 0), dtype=torch.long)
    best = guidance(["mass"], ["cyst"])(nothing, model).argmax(1)
    assert best.tolist() == [3, 3, 4, 4]


def test_only_the_likeliest_tokens_are_weighed() -> None:
    model = scores([0.04, 0.5, 0.4, 0.03, 0.03])
    guided = guidance(["mass"], candidates=2)(EMPTY, model)
    assert guided.argmax() == 1


def test_without_weight_or_concepts_nothing_changes() -> None:
    model = scores([0.05, 0.45, 0.3, 0.1, 0.1])
    assert torch.equal(guidance(["mass"], alpha=0.0)(EMPTY, model), model)
    assert torch.allclose(guidance([])(EMPTY, model), model, atol=1e-6)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    data = Data(dataset="none", task="caption")
    run = Run.create(tmp_path / "run", Recipe(name="g", data=data, model={"name": "guided"}))
    run.note_concepts({"C0010709": ConceptFacts("cyst", None, 2)})
    return run


def phantom_captions() -> list[Any]:
    data = Data(dataset="phantom", task="caption", options={"cases": {"train": 6}, "size": 48})
    return list(dialogues(data, "train"))


def test_medians_are_learned_from_captions_and_their_cases_concepts(run: Run) -> None:
    train = phantom_captions()
    concepts = {train[0].case: ("C0010709",), train[1].case: ("C0010709", "C0040405")}
    learner = Guided(GuidedSettings())
    learner.fit(Lesson(train, concepts=lambda: concepts), run)
    wanted = learner.load(run, members={}).wanted
    assert set(wanted) == {"cyst", "X-Ray computed tomography"}
    assert all(0 < value <= 1.001 for value in wanted.values())
    with pytest.raises(ModelError, match="no training caption has concepts"):
        learner.fit(Lesson(train), run)
    (run.weights / FILE).write_text('{"cyst": "near"}')
    with pytest.raises(RunError, match="not the medians"):
        learner.load(run, members={})


@dataclass
class Other:
    needs_image: bool = False


def test_a_draft_that_cannot_be_steered_is_refused_before_anything_is_fitted() -> None:
    with pytest.raises(RecipeError, match=r"members\.draft.*next tokens cannot be weighed"):
        Guided(GuidedSettings()).check_members({"draft": Other(), "concepts": Other()})
    block = {"name": "trained_synthesizer", "tiny": True, "kind": "seq2seq"}
    trained: Any = {**block, "members": {"draft": {"name": "nearest"}}}
    with pytest.raises(RecipeError, match=r"members\.draft.*next tokens cannot be weighed"):
        Guided(GuidedSettings()).check_members({"draft": build(trained), "concepts": Other()})
    learner = build({"name": "generative", "tiny": True, "family": "llava"})
    assert isinstance(learner, Generative)
    Guided(GuidedSettings()).check_members({"draft": learner, "concepts": Other()})


def test_the_concepts_member_does_a_task_of_its_own(tmp_path: Path) -> None:
    tagger: dict[str, Any] = {"model": {"name": "tagger"}, "data": {"task": "concepts"}}
    recipe = Recipe.model_validate(
        {
            "name": "g",
            "data": {
                "dataset": "phantom",
                "task": "caption",
                "options": {"cases": {"train": 4, "validation": 2, "test": 1}, "size": 48},
            },
            "model": {
                "name": "guided",
                "members": {
                    "draft": {"name": "composed", "preset": "nano"},
                    "concepts": tagger,
                },
            },
        }
    )
    assert set(check(recipe, tmp_path / "run").members) == {"draft", "concepts"}
    tagger["data"]["task"] = "vqa"
    broken = recipe.model_copy(update={"model": {**recipe.model}})
    with pytest.raises(RecipeError, match="the member's task is vqa"):
        check(broken, tmp_path / "run")
