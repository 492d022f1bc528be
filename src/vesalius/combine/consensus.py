"""The answer that the others agree with most: a combination that learns nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.combine.members import in_step, member_answers
from vesalius.language.questions import YES_NO, parse_question, polarity
from vesalius.models import Lesson, Model, Wraps, each
from vesalius.models.wording import plain
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen


class ConsensusSettings(Frozen):
    """How alike two answers are."""

    similarity: Literal["token_f1", "minilm"] = "token_f1"
    """Of two texts: ``token_f1``, the harmonic mean of the shares of words that each has in common
    with the other; ``minilm``, the cosine of their sentence vectors. Concepts are compared by
    Jaccard's index, boxes by label and overlap, whatever is named here."""


@dataclass(frozen=True, slots=True)
class ConsensusAnswers:
    """Members that all answer, and the rule that chooses among what they say."""

    settings: ConsensusSettings
    members: Mapping[str, Model]

    @property
    def needs_image(self) -> bool:
        """Whether any member needs one."""
        return any(member.needs_image for member in self.members.values())

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, its evidence an entry for each member, in their order.

        A closed question goes by the vote, a tie to the answer whose voters are surer, then to the
        member named first; its confidence is the share of votes. Any other gets the answer with
        the highest mean similarity to those of the other members, which is its confidence. Members
        that abstain are heard only if all do.
        """
        return list(self.predict_each(dialogues, decoding))

    def predict_each(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> Iterator[Prediction]:
        """The same one by one: what all members answered before one of them failed is not lost."""
        columns = {key: each(one, dialogues, decoding) for key, one in self.members.items()}
        for dialogue, answers in in_step(dialogues, columns):
            yield self._choice(dialogue, answers)

    def _choice(self, dialogue: Dialogue, answers: Sequence[Prediction]) -> Prediction:
        best, confidence = agreed(dialogue.question, answers, self.settings.similarity)
        return Prediction.of(
            dialogue,
            best.answer,
            confidence=confidence,
            evidence=member_answers(self.members, answers),
            abstained=all(one.abstained for one in answers),
            finish=best.finish,
            operating_point=best.operating_point,
        )


@dataclass(frozen=True, slots=True)
class Consensus:
    """Chooses among its members' answers without learning from them.

    Source: the minimum-Bayes-risk rule over given candidates (S. Kumar, W. Byrne, Minimum
    Bayes-risk decoding for statistical machine translation, NAACL 2004), and the plain vote.
    """

    Settings: ClassVar[type[ConsensusSettings]] = ConsensusSettings
    needs_image: ClassVar[bool] = False
    wraps: ClassVar[Wraps] = Wraps(least=2)

    settings: ConsensusSettings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Nothing is learnt: the rule needs no weights."""

    def load(self, run: Run, *, members: Mapping[str, Model]) -> ConsensusAnswers:
        """The rule over the loaded members."""
        return ConsensusAnswers(self.settings, members)


def agreed(
    question: Question, answers: Sequence[Prediction], similarity: str = "token_f1"
) -> tuple[Prediction, Confidence]:
    """The answer to a question that members agree on most, and how much: the rule by itself."""
    votes = [one for one in answers if not one.abstained] or list(answers)
    return _vote(votes) if is_closed(question) else _medoid(votes, similarity)


def is_closed(question: Question) -> bool:
    """Whether a question has a fixed set of answers: by the data set, its options, or its form."""
    if question.kind is not None:
        return question.kind == "closed"
    parsed = parse_question(question.text)
    return question.options is not None or (parsed is not None and parsed.form in YES_NO)


def similarities(answers: Sequence[Answer], name: str) -> NDArray[np.float64]:
    """(n, n) similarities in [-1, 1] of answers to each other; of other kinds of answer 0."""
    pairs = np.eye(len(answers))
    if name == "minilm":
        pairs = _cosines([answer.text or "" for answer in answers])
    for row, one in enumerate(answers):
        for column, other in enumerate(answers[:row]):
            if one.text is None or other.text is None or name != "minilm":
                pairs[row, column] = pairs[column, row] = _similarity(one, other)
    return pairs


def _vote(votes: Sequence[Prediction]) -> tuple[Prediction, Confidence]:
    ballots: defaultdict[str, list[Prediction]] = defaultdict(list)
    for one in votes:
        ballots[_ballot(one.answer)].append(one)
    # Dicts keep their order, and max takes the first of equals: the member named first.
    winners = max(ballots.values(), key=lambda ones: (len(ones), sum(map(_sure, ones)) / len(ones)))
    share = len(winners) / len(votes)
    return winners[0], Confidence(share, f"share of {len(votes)} members' votes")


def _medoid(votes: Sequence[Prediction], name: str) -> tuple[Prediction, Confidence]:
    if len(votes) == 1:
        return votes[0], Confidence(0.0, f"mean {name} with the other answers (there are none)")
    alike = similarities([one.at_operating_point().answer for one in votes], name)
    means = (alike.sum(axis=1) - np.diag(alike)) / (len(votes) - 1)
    # Rounded, so that a tie is one: it goes to the surer answer, then to the first member's.
    best = max(range(len(votes)), key=lambda at: (means[at].round(9), _sure(votes[at]), -at))
    value = min(1.0, max(0.0, float(means[best])))
    return votes[best], Confidence(value, f"mean {name} with the other answers")


def _ballot(answer: Answer) -> str:
    if answer.text is not None:
        return polarity(answer.text) or plain(answer.text).strip(" .!")
    return repr((answer.boxes, answer.concepts))


def _sure(prediction: Prediction) -> float:
    return 0.0 if prediction.confidence is None else prediction.confidence.value


def _similarity(one: Answer, other: Answer) -> float:
    if one.text is not None and other.text is not None:
        return token_f1(one.text, other.text)
    if one.concepts is not None and other.concepts is not None:
        mine, theirs = set(one.concepts), set(other.concepts)
        return len(mine & theirs) / len(mine | theirs) if mine | theirs else 1.0
    if one.boxes is not None and other.boxes is not None:
        return _overlap(one.boxes, other.boxes)
    return 0.0


def token_f1(one: str, other: str) -> float:
    """The words that two texts share, as the harmonic mean of their shares of each; in [0, 1]."""
    mine, theirs = plain(one).split(), plain(other).split()
    if not mine or not theirs:
        return float(mine == theirs)
    common = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * common / (len(mine) + len(theirs))


def _overlap(one: Sequence[Box], other: Sequence[Box]) -> float:
    """Greedy best matches by intersection over union, boxes of one label, over the longer list."""
    if not one or not other:
        return float(len(one) == len(other))
    places = product(enumerate(one), enumerate(other))
    pairs = [(a.iou(b), i, j) for (i, a), (j, b) in places if a.label == b.label]
    total, mine, theirs = 0.0, set[int](), set[int]()
    for value, i, j in sorted(pairs, reverse=True):
        if i not in mine and j not in theirs:
            total, mine, theirs = total + value, mine | {i}, theirs | {j}
    return total / max(len(one), len(other))


def _cosines(texts: Sequence[str]) -> NDArray[np.float64]:
    from vesalius.models.sentences import SentenceEncoder

    vectors = SentenceEncoder("minilm").embed(list(texts)).astype(np.float64)
    return vectors @ vectors.T
