"""What overlap scores cannot see: a flipped negation, a wrong side, a wrong number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import means, tabulate, unread
from vesalius.evaluation.metrics.words import golds
from vesalius.language.assertions import SCOPE, assertions, sides
from vesalius.language.quantities import Quantity, quantities
from vesalius.language.script import is_latin
from vesalius.settings import Frozen

_NAMES = ("content.negation", "content.laterality", "content.numbers")


class Content(Frozen):
    """Agreement with the reference in negation, side and number, each in [0, 1].

    ``content.negation``: the share of words in both texts that both negate or both state, over
    pairs in which one of the texts negates a shared word. ``content.laterality``: F1 over {left,
    right}. ``content.numbers``: F1 over counted numbers, "T1" and "L4" included: 1,200 is 1200, -30
    is no 30, 2.5 cm is 25 mm and no 2.5 mm (a missing unit may be any). A pair in which neither
    text has any is not measured. Negation follows NegEx's idea (Chapman et al., 2001) for
    English: cues, six words of reach, ended by a stop or "but"; it is a warning light, no reader.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="content",
            implementation="vesalius content agreement",
            version="2",
            parameters={"negation_scope_words": SCOPE, "language": "en"},
            normalisation="NFKC; lower; words [a-z]+, sides, numbers with their letter and unit",
            averaging="maximum over references; mean over texts that have any",
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """A column a kind of content."""
        return {**tabulate(_NAMES, predictions, _row), **unread(predictions, is_latin)}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """The means."""
        return means(table, weights, _NAMES)


def _row(prediction: Prediction) -> tuple[float, ...] | None:
    references = golds(prediction)
    if not references:
        return None
    kinds: tuple[Callable[[str, str], float], ...] = (_negation, laterality, numbers)
    values = [_best([kind(prediction.text, gold) for gold in references]) for kind in kinds]
    # Numbers are the same in every language; cues and sides are English words.
    return (*([nan, nan] if not all(map(is_latin, references)) else values[:2]), values[2])


def _best(values: list[float]) -> float:
    measured = [value for value in values if not isnan(value)]
    return max(measured) if measured else nan


def _negation(answer: str, gold: str) -> float:
    ours, theirs = assertions(answer), assertions(gold)
    shared = ours.keys() & theirs.keys()
    if all(ours[word] and theirs[word] for word in shared):  # nothing shared is negated
        return nan
    return sum(ours[word] == theirs[word] for word in shared) / len(shared)


def laterality(answer: str, gold: str) -> float:
    """F1 over the sides that two texts name; NaN where neither names one."""
    return _f1(Counter(sides(answer)), Counter(sides(gold)))


def numbers(answer: str, gold: str) -> float:
    """F1 over the numbers of two texts with their units; NaN where neither has one."""
    ours, theirs = quantities(answer), quantities(gold)
    if not ours and not theirs:
        return nan
    return 2 * _shared(ours, theirs) / (len(ours) + len(theirs))


def _shared(ours: Sequence[Quantity], theirs: Sequence[Quantity]) -> int:
    """How many quantities of one text pair with one of the other, the same as written first."""
    same = Counter(ours) & Counter(theirs)
    left = list((Counter(theirs) - same).elements())
    pairs = same.total()
    for one in (Counter(ours) - same).elements():
        match = next((other for other in left if one.equals(other)), None)
        if match is not None:
            left.remove(match)
            pairs += 1
    return pairs


def _f1(answer: Counter[str], gold: Counter[str]) -> float:
    if not answer and not gold:
        return nan
    return 2 * (answer & gold).total() / (answer.total() + gold.total())
