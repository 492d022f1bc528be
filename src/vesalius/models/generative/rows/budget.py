"""The budget of a picture's tokens: the processor's own setting that bounds them, by family."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from PIL import Image

from vesalius.errors import RecipeError
from vesalius.models.generative.rows.encoder import Encoder
from vesalius.models.generative.text.families import Family

WHERE = "model.image_tokens.max"
ENLARGED = 4
"""Qwen enlarges small pictures to a least number of pixels, their sides rounded up to whole tokens:
a quarter of the most leaves room for that."""


def limit(encoder: Encoder, config: Any, most: int) -> None:
    """At most ``most`` tokens of a picture, in the processor and, where it must know, the config.

    What was less stays less. RecipeError where the family has no such setting, or needs more.
    """
    require_budget(encoder.family)
    least = _RULES[encoder.family.budget.rule](encoder, config, most)
    require_least(encoder.family, least, most)


def require_budget(family: Family) -> None:
    """RecipeError with the reason if a family's pictures have no tokens that could be bounded."""
    if family.budget.reason is not None:
        what = f"{family.title} takes no budget: {family.budget.reason}"
        raise RecipeError(what, where=WHERE, hint="leave it out")


def require_least(family: Family, least: int, most: int) -> None:
    """RecipeError if a family makes at least ``least`` tokens of any picture, more than allowed."""
    if least > most:
        makes = "makes at least" if family.budget.adjustable else "always makes"
        what = f"{family.title} {makes} {least} tokens of a picture, more than {most}"
        raise RecipeError(what, where=WHERE, hint=f"say {least} or more, or take another family")


def _fixed(encoder: Encoder, *_: Any) -> int:
    """One number, whatever the picture: it is counted."""
    return encoder.image_tokens(Image.new("RGB", (64, 64)))


def _pixels(encoder: Encoder, _: Any, most: int) -> int:
    """Qwen-VL: the picture is resized to so many pixels (``size``); a token is a merged patch."""
    images = encoder.processor.image_processor
    pixels = most * (images.patch_size * images.merge_size) ** 2
    longest = min(images.size["longest_edge"], pixels)
    shortest = min(images.size["shortest_edge"], longest // ENLARGED)
    images.size = type(images.size)(longest_edge=longest, shortest_edge=shortest)
    return 1


def _tiles(encoder: Encoder, _: Any, most: int) -> int:
    """InternVL: ``max_patches`` tiles, and a whole view beside several."""
    images, each = encoder.processor.image_processor, int(encoder.processor.image_seq_length)
    views = most // each
    images.max_patches = min(images.max_patches, views - 1 if views > 2 else 1)
    images.min_patches = min(images.min_patches, images.max_patches)
    return each


def _longest_edge(encoder: Encoder, _: Any, most: int) -> int:
    """Idefics3, SmolVLM: a side of k tiles makes at most k * k tiles and a whole view."""
    images, each = encoder.processor.image_processor, int(encoder.processor.image_seq_len)
    if not images.do_image_splitting:
        return each
    longest, tile = images.size["longest_edge"], images.max_image_size["longest_edge"]
    sides = range(1, ceil(longest / tile) + 1)
    fitting = [k for k in sides if (k * k + 1 if k > 1 else 1) * each <= most]
    if fitting:
        images.size = type(images.size)(longest_edge=min(longest, fitting[-1] * tile))
    return each


def _pinpoints(encoder: Encoder, config: Any, most: int) -> int:
    """LLaVA-NeXT: the resolutions whose tiles fit, else a single tile; the model knows them too."""
    processor = encoder.processor
    images = processor.image_processor
    tile = images.crop_size["height"]
    side = tile // processor.patch_size
    cut = 1 if processor.vision_feature_select_strategy == "default" else 0
    whole = side * side + processor.num_additional_image_tokens - cut

    def tokens(height: int, width: int) -> int:
        rows, columns = height // tile * side, width // tile * side
        return int(whole + rows * columns + rows)  # a row of patches ends with a token of its own

    points = [p for p in images.image_grid_pinpoints if tokens(*p) <= most]
    points = [list(point) for point in points] or [[tile, tile]]
    images.image_grid_pinpoints = config.image_grid_pinpoints = points
    return tokens(tile, tile)


def _soft_tokens(encoder: Encoder, _: Any, most: int) -> int:
    """Gemma 4: one of the numbers that it was trained with."""
    images, steps = encoder.processor.image_processor, encoder.family.budget.steps
    fitting = [step for step in steps if step <= min(most, images.max_soft_tokens)]
    if fitting:
        images.max_soft_tokens = fitting[-1]
    return steps[0]


_RULES: dict[str, Callable[[Encoder, Any, int], int]] = {
    "fixed": _fixed,
    "longest_edge": _longest_edge,
    "pinpoints": _pinpoints,
    "pixels": _pixels,
    "soft_tokens": _soft_tokens,
    "tiles": _tiles,
}
"""Each sets the budget and says which number of tokens is the least that the family can do with."""
