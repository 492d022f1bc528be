"""A dialogue: turns about pictures, the last one open when a model is to answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vesalius.cases.case import NOTHING, Answer, Question
from vesalius.cases.picture import Picture
from vesalius.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Turn:
    """A question, the pictures shown with it, and what was replied (None: the turn is open).

    References stay in ``question.answers``; ``reply`` is what the history shows: the gold answer
    while training, the model's own one while a dialogue is rolled out.
    """

    question: Question
    pictures: tuple[Picture, ...] = ()
    reply: Answer | None = None


@dataclass(frozen=True, slots=True)
class Dialogue:
    """Turns with one context. A caption or a VQA item is a dialogue of one turn.

    A few-shot prompt has pictures in several turns; a text writer's has none. Only the last turn
    may be open. The first ``examples`` turns are of other cases: context belongs behind them.
    """

    id: str
    turns: tuple[Turn, ...]
    group: str
    case: str = ""
    modality: str | None = None
    context: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    dataset: str | None = None
    """Which data set it is of, where a recipe mixes several."""
    examples: int = 0

    def __post_init__(self) -> None:
        if not self.turns:
            raise DatasetError("a dialogue needs at least one turn", where=self.id or None)
        if any(turn.reply is None for turn in self.turns[:-1]):
            raise DatasetError("only the last turn may be open", where=self.id or None)

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """All pictures in the order in which they are shown."""
        return tuple(picture for turn in self.turns for picture in turn.pictures)

    @property
    def picture(self) -> Picture | None:
        """The picture that the last question is about: the last one shown; None where none is."""
        return self.picture_at(len(self.turns) - 1)

    def picture_at(self, at: int) -> Picture | None:
        """The picture that turn ``at`` (from 0) is about: the last one shown until then."""
        turns = reversed(self.turns[: at + 1])
        return next((turn.pictures[-1] for turn in turns if turn.pictures), None)

    @property
    def study(self) -> tuple[Picture, ...]:
        """All pictures that the last question is about: those of the last turn that shows any."""
        return self.study_at(len(self.turns) - 1)

    def study_at(self, at: int) -> tuple[Picture, ...]:
        """All pictures that turn ``at`` (from 0) is about; empty if none was shown until then."""
        turns = reversed(self.turns[: at + 1])
        return next((turn.pictures for turn in turns if turn.pictures), ())

    @property
    def question(self) -> Question:
        """The last turn's question: the one a model answers."""
        return self.turns[-1].question

    @property
    def system(self) -> str | None:
        """What the system turn says, of the last question that comes with one; None without."""
        systems = (turn.question.system for turn in reversed(self.turns))
        return next((text for text in systems if text), None)

    def closed(self) -> Dialogue:
        """The same dialogue with its last turn answered by the first reference (for training)."""
        last = self.turns[-1]
        if last.reply is not None:
            return self
        if not last.question.answers:
            raise DatasetError("no reference answer to train on", where=self.id)
        return self.replying(last.question.answers[0])

    def replying(self, reply: Answer | None) -> Dialogue:
        """The same dialogue with another reply in its last turn (None opens it)."""
        last = replace(self.turns[-1], reply=reply)
        return replace(self, turns=(*self.turns[:-1], last))

    def turn_id(self, at: int) -> str:
        """The id of turn ``at``'s answer under any history; that of its question asked alone."""
        return f"{self.case}/{self.turns[at].question.id or at + 1}"

    def reopen(self, at: int, replies: Sequence[Answer] | None = None) -> Dialogue:
        """The dialogue that asks turn ``at`` (from 0) again, open, under the id ``case/question``.

        ``replies`` to the turns before it make the history; None leaves them out, and the turn is
        asked alone about the pictures shown so far. The id does not depend on the history.
        """
        turn = self.turns[at]
        if replies is None:
            pictures = tuple(p for earlier in self.turns[: at + 1] for p in earlier.pictures)
            turns: tuple[Turn, ...] = (Turn(turn.question, pictures),)
        else:
            earlier = zip(self.turns[:at], replies, strict=True)
            turns = (*(replace(t, reply=reply) for t, reply in earlier), replace(turn, reply=None))
        return replace(self, id=self.turn_id(at), turns=turns)
