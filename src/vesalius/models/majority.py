"""The most frequent training answer: what can be scored without looking at the image."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.errors import RunError
from vesalius.models import Lesson
from vesalius.models.wording import examples, most_frequent, plain, spellings
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.system.files import read_json, write_json

FILE = "majority.json"
AnswerShare = tuple[str, float]
"""An answer and its share of the training answers it was counted among, in (0, 1]."""


class MajoritySettings(Frozen):
    """Nothing to set: counting has no options."""


@dataclass(frozen=True, slots=True)
class FrequentAnswers:
    """The most frequent answer by question, by category and overall: a fitted majority model."""

    needs_image: ClassVar[bool] = False

    questions: Mapping[str, AnswerShare]
    categories: Mapping[str, AnswerShare]
    overall: AnswerShare

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue; its confidence is the answer's share in training."""
        del decoding  # nothing is generated
        return [self._prediction(dialogue) for dialogue in dialogues]

    def _prediction(self, dialogue: Dialogue) -> Prediction:
        answer, share = self._most_frequent(dialogue.question)
        confidence = Confidence(share, "training frequency")
        return Prediction.of(dialogue, Answer(text=answer), confidence=confidence)

    def _most_frequent(self, question: Question) -> AnswerShare:
        known = self.questions.get(plain(question.text))
        return known or self.categories.get(question.category or "") or self.overall


@dataclass(frozen=True, slots=True)
class Majority:
    """The answer training gave most often to this question, else to its category, else overall.

    A caption's instruction is a question like any other. The floor that every system which looks
    at the image has to leave behind.
    """

    Settings: ClassVar[type[MajoritySettings]] = MajoritySettings
    needs_image: ClassVar[bool] = False
    reads_system: ClassVar[bool] = False

    settings: MajoritySettings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Count the training answers into ``weights/majority.json``; validation chooses nothing."""
        taught = examples(lesson.train)
        spelled = spellings(example.answer for example in taught)
        questions: defaultdict[str, Counter[str]] = defaultdict(Counter)
        categories: defaultdict[str, Counter[str]] = defaultdict(Counter)
        overall: Counter[str] = Counter()
        for example in taught:
            answer = spelled[plain(example.answer)]
            questions[plain(example.question)][answer] += 1
            overall[answer] += 1
            if example.category is not None:
                categories[example.category][answer] += 1
        content = {
            "questions": {key: most_frequent(counts) for key, counts in questions.items()},
            "categories": {key: most_frequent(counts) for key, counts in categories.items()},
            "overall": most_frequent(overall),
        }
        write_json(run.weights / FILE, content)

    def load(self, run: Run) -> FrequentAnswers:
        """The counted answers of a run; RunError if its file is no such table."""
        path = run.weights / FILE
        content = read_json(path)
        try:
            return FrequentAnswers(
                _table(content["questions"]),
                _table(content["categories"]),
                _answer_share(content["overall"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"not a table of answers: {error}", where=path) from error


def _table(content: Mapping[str, Any]) -> dict[str, AnswerShare]:
    return {key: _answer_share(value) for key, value in content.items()}


def _answer_share(value: Sequence[Any]) -> AnswerShare:
    answer, share = value
    return str(answer), float(share)
