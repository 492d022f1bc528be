"""The closed set of answers a classifier chooses from, taken from training answers alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.errors import ModelError
from vesalius.models.wording import plain, spellings

TOP_LABELS = 5
"""How many labels of a prediction are listed with their probability."""


@dataclass(frozen=True, slots=True)
class PicturedQuestion:
    """A question as it was put: its dialogue's id, its reference answers, the picture shown."""

    dialogue: str
    question: str
    answers: tuple[str, ...]
    picture: Picture


def pictured_questions(dialogues: Iterable[Dialogue]) -> list[PicturedQuestion]:
    """Every turn that has a picture before it and a reference in words, in order.

    ModelError names a dialogue whose reference answer is blank: there is no such label.
    """
    questions = []
    for dialogue in dialogues:
        picture: Picture | None = None
        for turn in dialogue.turns:
            picture = turn.pictures[-1] if turn.pictures else picture
            answers = _words(turn)
            if not all(map(plain, answers)):
                raise ModelError(
                    "has an empty reference answer",
                    where=dialogue.id,
                    hint="vesalius data check lists them",
                )
            if answers and picture is not None:
                questions.append(
                    PicturedQuestion(dialogue.id, turn.question.text, answers, picture)
                )
    return questions


def _words(turn: Turn) -> tuple[str, ...]:
    return tuple(a.text for a in turn.question.answers if a.text is not None)


@dataclass(frozen=True)
class LabelSpace:
    """The answers a classifier can give, sorted; their place is their class.

    Two answers that differ in case or blanks alone are one label, in its most frequent spelling.
    """

    names: tuple[str, ...]

    @classmethod
    def of(cls, answers: Iterable[str]) -> LabelSpace:
        """The label space of training answers; ModelError where there is nothing to tell apart."""
        spelled = spellings(answers)
        if len(spelled) < 2:
            only = "".join(f" but {name!r}" for name in spelled.values())
            raise ModelError(
                f"no training answer{only}: a classifier needs two to tell apart",
                hint="vesalius data show prints what the training split holds",
            )
        return cls(tuple(spelled[key] for key in sorted(spelled)))

    @cached_property
    def _places(self) -> Mapping[str, int]:
        return {plain(name): place for place, name in enumerate(self.names)}

    def place(self, answer: str) -> int | None:
        """The class of an answer; None for one that training does not have."""
        return self._places.get(plain(answer))

    def unknown_rate(self, questions: Sequence[PicturedQuestion]) -> float:
        """The share of questions none of whose references is a label; NaN if nothing is asked."""
        outside = [all(self.place(answer) is None for answer in one.answers) for one in questions]
        return sum(outside) / len(outside) if outside else float("nan")

    def agreement(self, answers: Sequence[str]) -> dict[int, float]:
        """Class -> soft target in (0, 1]: how far the annotators of a question agree on it.

        Of ten annotators three make an answer right, as VQA accuracy has it (min(count / 3, 1);
        ViLT rounds the thirds to .3, .6 and .9). Of fewer, the same share of them; of one to
        three, each is right.
        """
        enough = max(1.0, 0.3 * len(answers))
        places = [place for answer in answers if (place := self.place(answer)) is not None]
        return {place: min(1.0, places.count(place) / enough) for place in places}

    def prediction(self, dialogue: Dialogue, shares: Sequence[float], method: str) -> Prediction:
        """The likeliest label, from a probability per class.

        ``scores`` lists the five likeliest, then the references: with their own probability, or
        0.0 if no label says them, so that the row tells what could never have been answered.
        """
        order = sorted(range(len(shares)), key=lambda place: (-shares[place], place))[:TOP_LABELS]
        scores = {self.names[place]: shares[place] for place in order}
        for text in _words(dialogue.turns[-1]):
            place = self.place(text)
            scores.setdefault(
                *((text, 0.0) if place is None else (self.names[place], shares[place]))
            )
        best = order[0]
        return Prediction.of(
            dialogue,
            Answer(text=self.names[best]),
            confidence=Confidence(shares[best], method),
            scores=scores,
        )
