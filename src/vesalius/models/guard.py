"""What a model refuses before it does any work."""

from __future__ import annotations

from collections.abc import Iterable

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError


def require_pictures(dialogues: Iterable[Dialogue]) -> list[Picture]:
    """The picture that each last question is about; ModelError names a dialogue without one."""
    pictures = []
    for dialogue in dialogues:
        if dialogue.picture is None:
            raise ModelError(
                "has no picture, and this model answers from one",
                where=dialogue.id,
                hint="give it an image, or use a model with needs_image false",
            )
        pictures.append(dialogue.picture)
    return pictures
