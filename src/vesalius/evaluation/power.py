"""What a comparison could have shown: without it, "no difference" may mean too few cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isnan
from typing import Any

from vesalius.evaluation.differences import Difference


def power_line(
    differences: Iterable[Difference],
    level: float,
    protocols: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """One sentence on the smallest differences that the test set would show four times in five.

    It rests on how much the two systems' answers differed here; where no resample differs from
    another, nothing is known of it. With ``protocols`` only of scores of which more is better.
    """
    least: dict[str, list[float]] = {}
    for d in differences:
        better = (protocols or {}).get(d.protocol, {}).get("better", {})
        if d.measured and better.get(d.metric, "higher") == "higher":
            least.setdefault(d.metric, []).append(d.detectable)
    if not least:
        return "power: nothing was measured in both"
    parts = [f"{name} {_in_words(values)}" for name, values in least.items()]
    return (
        "power: the smallest difference that these cases would show four times in five "
        f"({level:.0%} intervals): {', '.join(parts)}"
    )


def _in_words(values: list[float]) -> str:
    known = sorted(value for value in values if not isnan(value))
    if not known:
        return "not known"
    ends = f"±{known[0]:.3f}"
    return ends if f"±{known[-1]:.3f}" == ends else f"{ends} to ±{known[-1]:.3f}"
