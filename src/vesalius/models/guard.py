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


def require_studies(dialogues: Iterable[Dialogue]) -> list[tuple[Picture, ...]]:
    """All pictures that each last question is about; ModelError names a dialogue without any."""
    checked = list(dialogues)
    require_pictures(checked)
    return [dialogue.study for dialogue in checked]


def require_at_most(most: int, dialogues: Iterable[Dialogue]) -> None:
    """ModelError names the first dialogue with a question about more pictures than a model takes.

    It would have to leave some out, and its answers would not be about what the question shows.
    """
    for dialogue in dialogues:
        count = max(len(turn.pictures) for turn in dialogue.turns)
        if count > most:
            raise ModelError(
                f"shows {count} pictures with one question, and this model looks at {most}",
                where=dialogue.id,
                hint="linear_probe and nearest take the mean of a question's pictures, "
                "generative models read them all",
            )
