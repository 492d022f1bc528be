"""How programs write that a value is missing: words that are no words."""

from __future__ import annotations

MISSING = frozenset(
    {"nan", "-nan", "na", "null", "none", "nil", "<na>", "#n/a", "#na", "n/a", "<null>", "nat",
     "(null)", "\\n", "undefined", "#value!", "#ref!", "#name?", "#div/0!", "-", "--", "\u2013",
     "\u2014", ".", "..", "...", "?", "_"}
)  # fmt: skip
"""As pandas, NumPy, R, SQL, JavaScript and spreadsheets write them, and as people do, in small."""


def is_missing(text: str) -> bool:
    """Whether a text that is not empty is only the mark of a missing value."""
    return text.strip().lower() in MISSING
