"""Training on dialogues: every assistant turn bears loss with its end token, nothing else does."""

from __future__ import annotations

from itertools import groupby

import pytest

from vesalius import Recipe
from vesalius.steps.plan import mask
from vesalius.steps.prepare import to_fit_on

MODELS = {
    "llava": {"name": "generative", "tiny": True, "family": "llava"},
    "nano": {"name": "composed", "preset": "nano"},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_reply_of_a_dialogue_bears_loss(name: str) -> None:
    recipe = Recipe.model_validate(
        {
            "name": "r",
            "data": {
                "dataset": "phantom",
                "task": "visual_dialogue",
                "options": {"cases": {"train": 1, "validation": 0, "test": 0}, "size": 48},
                "splits": {"validation": None},
            },
            "model": MODELS[name],
        }
    )
    (talk,) = to_fit_on(recipe.data, "train")
    replies = [turn.question.answers[0].text for turn in talk.turns]
    assert len(replies) > 5
    stretches = [
        "".join(token for token, _ in run)
        for bears, run in groupby(mask(recipe), key=lambda pair: pair[1])
        if bears
    ]
    ends = {"<|im_end|>", "</s>"}
    assert len(stretches) == len(replies)
    for stretch, reply in zip(stretches, replies, strict=True):
        end = next(e for e in ends if stretch.strip().endswith(e))  # it learns to stop
        assert stretch.strip().removesuffix(end).strip() == reply
