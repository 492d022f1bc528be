"""What learners say of themselves: steps ask them, and know no entry by its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from vesalius.errors import ModelError, RecipeError
from vesalius.models import models
from vesalius.models.build import build
from vesalius.models.capabilities import Carded, HubCard, Shrinkable, Weighable
from vesalius.models.composed import ComposedSettings
from vesalius.recipe import Recipe
from vesalius.settings import Frozen, validated
from vesalius.steps.estimate import estimate, missing
from vesalius.steps.tiny import tiny

DATA = {"dataset": "phantom", "options": {"cases": {"train": 2, "validation": 1, "test": 1}}}


class _Settings(Frozen):
    weights: str | None = None
    small: bool = False


class Foreign:
    """A learner of another package that says nothing of itself."""

    Settings: ClassVar[type[_Settings]] = _Settings
    needs_image = True

    def __init__(self, settings: _Settings) -> None:
        self.settings = settings


class Telling(Foreign):
    """One that says what it weighs, what it reads, and what it is when small."""

    card: ClassVar[HubCard] = HubCard("text-classification", "AutoModel", "It names a label.")

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        return {"name": block["name"], "small": True}

    def weigh(self) -> dict[str, Any]:
        return {"parameters": 7, "source": "counted"}

    def hub_weights(self) -> tuple[str, ...]:
        return ("nobody/has-this",)


def _recipe(model: dict[str, Any]) -> Recipe:
    return validated(Recipe, {"name": "r", "data": DATA, "model": model}, where="test")


@pytest.fixture
def entry(monkeypatch: pytest.MonkeyPatch):
    def register(kind: type) -> None:
        monkeypatch.setitem(models._own, "foreign", f"{__name__}:{kind.__name__}")

    return register


def test_another_packages_learner_is_asked_what_it_is(entry) -> None:
    entry(Telling)
    recipe = _recipe({"name": "foreign", "weights": "nobody/has-this"})
    assert tiny(recipe).model == {"name": "foreign", "small": True}
    told = estimate(recipe)
    assert (told["estimate"]["parameters"], told["basis"]["model"]) == (7, "counted")
    assert missing(recipe) == ["the weights of nobody/has-this"]
    learner = build(recipe.model)
    assert isinstance(learner, Carded)
    assert learner.card.loader == "AutoModel"


def test_a_learner_that_says_nothing_is_left_as_it_is(entry) -> None:
    entry(Foreign)
    drawn = _recipe({"name": "foreign"})
    assert tiny(drawn).model == {"name": "foreign"}
    assert "parameters" not in estimate(drawn)["estimate"]
    assert missing(drawn) == []
    with pytest.raises(RecipeError, match=r"^model: foreign has no tiny form$"):
        tiny(_recipe({"name": "foreign", "weights": "nobody/has-this"}))


def test_our_learners_of_published_weights_say_all_of_it() -> None:
    for name in models:
        kind = models[name]
        if {"weights", "training"} <= set(kind.Settings.model_fields):
            assert isinstance(kind, Shrinkable), name
            assert issubclass(kind, Weighable), name
            assert isinstance(kind, Carded), name


def test_what_is_made_or_packaged_here_is_fetched_from_nowhere() -> None:
    block = {"name": "composed", "vision": "stem_vit", "language": "smollm2"}
    learner = build(block)
    assert isinstance(learner, Weighable)
    assert isinstance(learner.settings, ComposedSettings)
    assert learner.hub_weights() == ()
    other = build(block | {"vision": "google/siglip-base-patch16-224"})
    assert isinstance(other, Weighable)
    assert other.hub_weights() == ("google/siglip-base-patch16-224",)


def test_weights_of_no_known_size_or_family_are_named() -> None:
    with pytest.raises(RecipeError, match=r"the family of a/b is not known"):
        models["generative"].tiny({"name": "generative", "weights": "a/b"})
    with pytest.raises(ModelError, match="a/b"):
        build({"name": "generative", "weights": "a/b"}).weigh()  # type: ignore[attr-defined]
