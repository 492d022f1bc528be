"""Which dialogues stand in one row, behind what they share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from vesalius.cases.dialogue import Dialogue
from vesalius.errors import TooLong
from vesalius.models.generative.rows.encoder import Encoder, Prefixes
from vesalius.models.generative.rows.rows import Row, Segment
from vesalius.models.generative.text.families import Family


def rows_of(
    dialogues: Iterable[Dialogue],
    encoder: Encoder,
    *,
    share: bool,
    max_length: int,
    prefixes: Prefixes | None = None,
) -> Iterable[Row]:
    """Rows for dialogues already ordered by picture; a full row makes way for the next one.

    ``prefixes`` makes the head's tokens, by default the encoder. ModelError names a dialogue that
    alone is longer than ``max_length``: nothing is cut silently.
    """
    for _, group in groupby(dialogues, key=shared_key if share else lambda d: d.id):
        members = list(group)
        rendered = [encoder.template.render(d) for d in members]
        prefix = (prefixes or encoder.prefix)(rendered[0], members[0])
        room = max_length - len(prefix.ids)
        segments: list[Segment] = []
        for words, dialogue in zip(rendered, members, strict=True):
            segment = encoder.segment(words, dialogue.id)
            length = len(prefix.ids) + len(segment.ids)
            require_room(length, max_length, dialogue.id, encoder.family)
            if sum(len(s.ids) for s in segments) + len(segment.ids) > room:
                yield Row(prefix, tuple(segments))
                segments = []
            segments.append(segment)
        yield Row(prefix, tuple(segments))


def require_room(length: int, max_length: int, dialogue: str, family: Family) -> None:
    """TooLong if a dialogue of ``length`` tokens, picture included, is longer than allowed."""
    if length > max_length:
        what = f"{length} tokens do not fit into {max_length}"
        less = ", or set model.image_tokens.max" if family.budget.adjustable else ""
        raise TooLong(what, where=dialogue, hint=f"raise model.max_length{less}")


def shared_key(dialogue: Dialogue) -> tuple[Any, ...]:
    """What two dialogues must have in common to stand behind the same prefix.

    Everything up to the last picture: the system turn, the pictures, and the turns that stand
    before the last of them with what was replied there. Without pictures nothing is shared, nor by
    a dialogue to learn from whose replies before the last picture bear loss
    (:func:`learns_before_pictures`).
    """
    if not dialogue.pictures or learns_before_pictures(dialogue):
        return (dialogue.id,)
    last = _last_showing(dialogue)
    before = tuple((t.question.text, t.reply, t.pictures) for t in dialogue.turns[:last])
    context = tuple(dialogue.context.items()) if last > dialogue.examples else ()
    return (dialogue.pictures, before, context, dialogue.system)


def learns_before_pictures(dialogue: Dialogue) -> bool:
    """Whether a dialogue, all replied, shows a picture after its first reply.

    Behind a shared prefix the replies before it would bear loss once for all dialogues there.
    """
    return dialogue.turns[-1].reply is not None and _last_showing(dialogue) > 0


def _last_showing(dialogue: Dialogue) -> int:
    """The last turn that shows a picture, from 0; -1 if none does."""
    return max((i for i, turn in enumerate(dialogue.turns) if turn.pictures), default=-1)


def by_picture(dialogues: Sequence[Dialogue]) -> list[int]:
    """Places of the dialogues, those that share a prefix brought together, first seen first."""
    first: dict[Any, int] = {}
    for place, dialogue in enumerate(dialogues):
        first.setdefault(shared_key(dialogue), place)
    return sorted(range(len(dialogues)), key=lambda i: (first[shared_key(dialogues[i])], i))
