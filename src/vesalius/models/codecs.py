"""Answers as text: what a model that writes is to write, and what is read of what it wrote.

What was written stays the answer's text. Where it cannot be read, the answer has no boxes and no
concepts: nothing is guessed, and the prediction counts as an abstention. What of a list of boxes
could not be read is counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.tasks import Content, content_of
from vesalius.errors import ModelError
from vesalius.models.box_codec import BoxCodec
from vesalius.models.box_convention import BoxConvention, Resized
from vesalius.models.box_forms import NONE
from vesalius.models.decoded import Decoded


class AnswerCodec(Protocol):
    """Turns answers into the text that a model learns to write, and its text into answers."""

    @property
    def name(self) -> Content:
        """What it writes: ``model.answers`` of a recipe."""

    def encode(self, answer: Answer, picture: Picture | None) -> str:
        """The text of an answer that it ``holds``; ModelError if it cannot be written so."""

    def decode(self, text: str, picture: Picture | None) -> Decoded:
        """The answer that a text is; the text alone where nothing can be read of it."""

    def holds(self, answer: Answer) -> bool:
        """Whether an answer has what this codec writes."""

    def is_own(self, token: str) -> bool:
        """Whether a reserved token of the vocabulary is one that it writes."""


class TextCodec:
    """The answer's own words."""

    name: Content = "text"

    def encode(self, answer: Answer, picture: Picture | None) -> str:
        """Its text."""
        return answer.text or ""

    def decode(self, text: str, picture: Picture | None) -> Decoded:
        """The text, as it is."""
        return Decoded(Answer(text=text))

    def holds(self, answer: Answer) -> bool:
        """Whether it has text."""
        return answer.text is not None

    def is_own(self, token: str) -> bool:
        """None is."""
        return False


class ConceptCodec(TextCodec):
    """Concepts, parted by ``; ``; ``none`` where none is present."""

    name: Content = "concepts"

    def encode(self, answer: Answer, picture: Picture | None) -> str:
        """The concepts in their order; ModelError where one cannot stand in such a list."""
        concepts = answer.concepts or ()
        for concept in concepts:
            if ";" in concept or concept != concept.strip() or concept in {"", NONE}:
                raise ModelError(f"the concept {concept!r} cannot stand in a list parted by ;")
        return "; ".join(concepts) or NONE

    def decode(self, text: str, picture: Picture | None) -> Decoded:
        """The concepts that are named, each once; an empty text names none and is no answer."""
        parts = (part.strip() for part in text.split(";"))
        concepts = tuple(dict.fromkeys(part for part in parts if part))
        if not concepts:
            return Decoded(Answer(text=text))
        return Decoded(Answer(text=text, concepts=() if concepts == (NONE,) else concepts))

    def holds(self, answer: Answer) -> bool:
        """Whether it has concepts, be it none."""
        return answer.concepts is not None


@dataclass(frozen=True, slots=True)
class Replies:
    """What a model's replies hold; of boxes, in which convention, and which classes there are."""

    content: Content = "text"
    convention: BoxConvention = field(default_factory=BoxConvention)
    classes: tuple[str, ...] | None = None
    """The only classes that a box may have; None: any."""

    def codec(self, resized: Resized | None = None) -> AnswerCodec:
        """What writes and reads them."""
        if self.content == "boxes":
            return BoxCodec(self.convention, resized, self.classes)
        return ConceptCodec() if self.content == "concepts" else TextCodec()


WORDS = Replies()
"""Replies that are text."""


def classes_in(dialogues: Sequence[Dialogue]) -> tuple[str, ...] | None:
    """The classes of the experts' boxes, in alphabetical order; None where there are none."""
    questions = (turn.question for dialogue in dialogues for turn in dialogue.turns)
    boxes = (box for one in questions for answer in one.answers for box in answer.boxes or ())
    return tuple(sorted({box.label.strip() for box in boxes if not box.crowd})) or None


def written(dialogue: Dialogue, codec: AnswerCodec) -> Dialogue:
    """The dialogue with each reply as text; ModelError, naming it, for one that cannot be.

    A reply that the codec does not hold stands as the text it has: a model's own answer that could
    not be read is shown to it as it was written. See :func:`require_answers` for what is learnt.
    """
    turns = []
    for at, turn in enumerate(dialogue.turns):
        reply = turn.reply
        if reply is not None and (codec.name != "text" or reply.text is None):
            try:
                text = codec.encode(reply, dialogue.picture_at(at)) if codec.holds(reply) else None
            except ModelError as error:
                raise ModelError(error.what, where=dialogue.id, hint=error.hint) from error
            if text is None and reply.text is None:
                raise _unwritable(reply, codec, dialogue.id)
            reply = Answer(text=reply.text if text is None else text)
        turns.append(replace(turn, reply=reply))
    return replace(dialogue, turns=tuple(turns))


def require_answers(dialogues: Iterable[Dialogue], codec: AnswerCodec) -> None:
    """Each reply to be learnt is one that the codec writes; ModelError names the first other."""
    for dialogue in dialogues:
        for turn in dialogue.closed().turns:
            if turn.reply is not None and not codec.holds(turn.reply):
                raise _unwritable(turn.reply, codec, dialogue.id)


def _unwritable(reply: Answer, codec: AnswerCodec, where: str) -> ModelError:
    has = content_of(reply)
    what = f"a reply of {has} cannot be written as {codec.name}"
    return ModelError(what, where=where, hint=f"say model.answers: {has}, or choose another task")
