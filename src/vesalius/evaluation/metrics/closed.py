"""Closed questions, parsed strictly: a reply that says both or neither is not an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.table import coded, majority, mean, means, ratio
from vesalius.evaluation.metrics.words import golds, is_closed, squad
from vesalius.language.options import option_of, tokens, with_letters
from vesalius.language.quantities import quantities
from vesalius.language.questions import is_polar, polarity
from vesalius.language.script import normalised
from vesalius.settings import Frozen

UNPARSED = "\0unparsed"  # no normalised text can be equal to it
_RATES = ("closed.accuracy", "closed.yes_rate", "closed.unparsed_rate")


class Closed(Frozen):
    """Accuracy of closed questions, and what accuracy hides.

    A gold of yes or no (是, 没有 ... in Chinese) needs exactly one of the two in the reply; none or
    both is *unparsed*, counted wrong, its rate reported. Another gold needs SQuAD-normalised
    equality with the same numbers (2.5 cm is no 25 cm), or that the reply takes exactly one of the
    question's options (:func:`~vesalius.language.options.option_of`) and it is the gold. All scores
    in [0, 1] but MCC in [-1, 1] (Gorodkin, 2004, for more than two classes; unparsed replies are
    one class more). ``closed.yes_rate`` is over yes/no questions.
    """

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        return ScoringProtocol(
            name="closed",
            implementation="vesalius strict closed parser",
            version="3",
            normalisation="NFKC; exactly one of yes, no; else one of the options, or SQuAD v2",
            averaging="over closed questions; unparsed counted wrong",
            better={
                "closed.yes_rate": "neither",
                "closed.unparsed_rate": "lower",
                "closed.majority_baseline": "neither",
            },
            baselines=("closed.majority_baseline",),
            beside={"closed.accuracy": "closed.majority_baseline"},
            proportions={
                **dict.fromkeys((*_RATES, "closed.majority_baseline"), ""),
                "closed.balanced_accuracy": "gold",
            },
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """Right or not, said yes, unparsed, and the codes of golds and reply."""
        wanted = [
            [_code(gold, _offered(p, gold)) for gold in golds(p)] if is_closed(p) else []
            for p in predictions
        ]
        rows = [_row(p) if texts else None for p, texts in zip(predictions, wanted, strict=True)]
        every, _ = coded(wanted)
        first, classes = coded([texts[:1] for texts in wanted])
        index = {name: float(i) for i, name in enumerate(classes)}
        other = float(len(classes))
        nan = float("nan")
        columns = {
            "closed.accuracy": [float(row[2]) if row else nan for row in rows],
            "closed.yes_rate": [_is_yes(row) if row else nan for row in rows],
            "closed.unparsed_rate": [float(row[1] == UNPARSED) if row else nan for row in rows],
            "said": [index.get(row[1], other) if row else nan for row in rows],
        }
        measured = {k: np.array(v, dtype=np.float64) for k, v in columns.items()}
        return measured | {"gold": first[:, 0], "golds": every}

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Accuracy, balanced accuracy, MCC, yes-rate, unparsed rate, majority baseline."""
        return {
            **means(table, weights, _RATES),
            "closed.balanced_accuracy": _balanced(table, weights),
            "closed.mcc": _mcc(table, weights),
            "closed.majority_baseline": majority(table["golds"], weights),
        }


def closed_answer(prediction: Prediction, gold: str) -> str:
    """The reply read as an answer to a closed question: yes, no, an option, or UNPARSED."""
    options = _offered(prediction, gold)
    option = option_of(prediction.text, options) if options else None
    if is_polar(gold):
        return polarity(prediction.text) or polarity(option or "") or UNPARSED
    if option is not None:
        return _code(option, options)
    if _same(prediction.text, gold):
        return _code(gold, options)
    return UNPARSED if options else _code(prediction.text, ()) or UNPARSED


def closed_right(prediction: Prediction) -> bool:
    """Whether the reply, read strictly, is one of the golds."""
    return any(
        closed_answer(prediction, gold) == _code(gold, _offered(prediction, gold))
        for gold in golds(prediction)
    )


def _row(prediction: Prediction) -> tuple[str, str, bool]:
    gold = golds(prediction)[0]
    code = _code(gold, _offered(prediction, gold))
    return code, closed_answer(prediction, gold), closed_right(prediction)


def _offered(prediction: Prediction, gold: str) -> tuple[str, ...]:
    """The options; with letters where the gold is one and they have none."""
    options = prediction.options or ()
    letter = "".join(tokens(gold))
    bare = len(letter) == 1 and letter.isalpha() and option_of(gold, options) is None
    return with_letters(options) if options and bare else options


def _code(text: str, options: tuple[str, ...]) -> str:
    """One name for all wordings that count as one: yes, no, the option, or the tokens."""
    option = option_of(text, options) if options else None
    if option is None and is_polar(text):
        return polarity(text) or ""
    return " ".join(tokens(option or text)) or normalised(option or text).strip()


def _same(reply: str, gold: str) -> bool:
    """Whether both are equal as SQuAD normalises and hold the same numbers."""
    if tokens(reply) == tokens(gold):
        return bool(tokens(gold)) or normalised(reply).strip() == normalised(gold).strip()
    return (
        bool(squad(gold)) and squad(reply) == squad(gold) and quantities(reply) == quantities(gold)
    )


def _is_yes(row: tuple[str, str, bool]) -> float:
    return float(row[1] == "yes") if row[0] in {"yes", "no"} else float("nan")


def _balanced(table: Table, weights: Array) -> Array:
    gold, right = table["gold"], table["closed.accuracy"]
    classes = np.unique(gold[~np.isnan(gold)])
    if not classes.size:
        return np.full(len(weights), np.nan)
    recalls = np.stack([mean(np.where(gold == c, right, np.nan), weights) for c in classes])
    present = ~np.isnan(recalls)
    return ratio(np.nan_to_num(recalls).sum(axis=0), present.sum(axis=0).astype(np.float64))


def _mcc(table: Table, weights: Array) -> Array:
    """Matthews' coefficient; NaN where all golds drawn are of one class, 0 for a constant reply."""
    gold, reply = table["gold"], table["said"]
    measured = ~np.isnan(gold)
    classes = np.unique(np.concatenate([gold[measured], reply[measured]]))
    true = weights @ (gold[:, None] == classes).astype(np.float64)
    replied = weights @ (reply[:, None] == classes).astype(np.float64)
    right = weights @ (measured & (gold == reply)).astype(np.float64)
    n = weights @ measured.astype(np.float64)
    covariance = right * n - (true * replied).sum(axis=1)
    spread_true = n**2 - (true**2).sum(axis=1)
    spread_reply = n**2 - (replied**2).sum(axis=1)
    correlation = np.nan_to_num(ratio(covariance, np.sqrt(spread_true * spread_reply)))
    return np.where(spread_true > 0, correlation, np.nan)
