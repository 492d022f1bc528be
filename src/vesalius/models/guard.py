"""What a model refuses before it does any work."""

from __future__ import annotations

from collections.abc import Iterable

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import ModelError


def require_pictures(dialogues: Iterable[Dialogue]) -> None:
    """ModelError naming the first dialogue that shows no picture."""
    for dialogue in dialogues:
        if not dialogue.pictures:
            raise ModelError(
                "has no picture, and this model answers from one",
                where=dialogue.id,
                hint="give it an image, or use a model with needs_image false",
            )
