"""What may be asked of a picture, as the run itself was asked: a question of each category."""

from __future__ import annotations

from collections import Counter, defaultdict
from pathlib import Path

from vesalius.run import Run

MOST = 6
CASES = 3
"""Cases that a question was asked of before it is suggested: that of one case may tell of it."""


def suggestions(folder: Path | None) -> list[tuple[str, str]]:
    """(category, question), the largest category first: the question asked of most of its cases.

    Of the run's predictions for its test split; empty without a run, or where nothing was
    predicted. Blocks: it reads them all.
    """
    run = None if folder is None else Run.open(folder)
    if run is None or not run.predictions_file().exists():
        return []
    cases: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    sizes: Counter[str] = Counter()
    for one in run.predictions():
        if one.question and one.category:
            cases[one.category, one.question].add(one.group or one.case)
            sizes[one.category] += 1
    asked = {pair: len(of) for pair, of in cases.items() if len(of) >= CASES}
    best: dict[str, str] = {}
    for category, question in sorted(asked, key=lambda pair: (-asked[pair], pair)):
        best.setdefault(category, question)
    order = sorted(best, key=lambda category: (-sizes[category], category))
    return [(category, best[category]) for category in order[:MOST]]
