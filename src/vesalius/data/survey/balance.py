"""How classes are spread over splits, and whether there is anything without a finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from math import pi, sqrt

from vesalius.data.survey.figures import Table, per_cent, table
from vesalius.data.survey.pictures import ONE_SPLIT
from vesalius.data.survey.survey import Survey
from vesalius.data.survey.verdict import Result, measured, unmeasured


def balance_checks(whole: Survey) -> Iterator[Result]:
    """Negatives, and the classes of each split."""
    yield _negatives(whole)
    yield _balance(whole)


def beyond_chance(first: Counter[str], other: Counter[str]) -> float:
    """Total variation of two splits' classes, less what two draws of one population differ by.

    Half the sum of differences of shares; chance gives half the sum of their mean absolute
    deviations, sqrt(2 / pi) of p(1 - p)(1/n + 1/m) under its root. In [0, 1].
    """
    n, m = first.total(), other.total()
    distance = chance = 0.0
    for name in {*first, *other}:
        distance += abs(first[name] / n - other[name] / m) / 2
        pooled = (first[name] + other[name]) / (n + m)
        chance += sqrt(2 / pi * pooled * (1 - pooled) * (1 / n + 1 / m)) / 2
    return max(0.0, distance - chance)


def _negatives(whole: Survey) -> Result:
    if not whole.annotated:
        return unmeasured("negatives", "no boxes are annotated")
    share = whole.with_boxes / whole.annotated
    words = f"{per_cent(1 - share)} of {whole.annotated:,} annotated pictures show no finding."
    if share == 1:
        words = (
            f"Each of {whole.annotated:,} annotated pictures has a box: false alarms on pictures "
            "without findings cannot be measured."
        )
    facts = {"annotated": whole.annotated, "with_boxes": whole.with_boxes}
    return measured("negatives", share, words, facts=facts)


def _balance(whole: Survey) -> Result:
    if not whole.later:
        return unmeasured("balance", ONE_SPLIT)
    distances = {
        (field, split): beyond_chance(splits[whole.splits[0]], splits[split])
        for field, splits in whole.classes.items()
        for split in whole.later
        if splits.get(whole.splits[0]) and splits.get(split)
    }
    if not distances:
        return unmeasured("balance", "no class is known in two splits")
    (field, split), value = max(distances.items(), key=lambda item: item[1])
    words = (
        f"{split} differs most from {whole.splits[0]} in {field}: {per_cent(value)} of its cases "
        "would have to be of another class, beyond what chance gives."
        if value
        else f"No split differs from {whole.splits[0]} by more than chance gives."
    )
    facts = {f"{field}, {split}": round(d, 4) for (field, split), d in distances.items()}
    tables = tuple(_shares(f, s, whole.splits) for f, s in whole.classes.items())
    return measured("balance", value, words, facts=facts, tables=tables)


def _shares(field: str, splits: Mapping[str, Counter[str]], order: tuple[str, ...]) -> Table:
    """A class a row, the commonest first: its share of each split."""
    names = [name for name in order if splits.get(name)]
    overall = sum((splits[name] for name in names), Counter[str]())
    rows = [
        (value, *(per_cent(splits[name][value] / splits[name].total()) for name in names))
        for value, _ in overall.most_common()
    ]
    return table(field, (field, *names), rows)
