"""The gallery: right texts, and each with one thing made wrong, by kind and modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.errors import RecipeError
from vesalius.evaluation.constants import normal_text
from vesalius.evaluation.metrics.align_score import sentences
from vesalius.system.tables import packaged_table

KINDS = (
    "negation", "side", "number", "severity", "uncertainty", "wrong organ", "shuffled sentences",
    "constant normal", "empty", "paraphrase",
)  # fmt: skip
TOLERATED = frozenset({"paraphrase", "shuffled sentences"})
"""What says the same in other words, or in another order: a good metric does not mind."""


@dataclass(frozen=True, slots=True)
class Exhibit:
    """A right text, and the same changed in one way."""

    modality: str
    kind: str
    reference: str
    changed: str
    question: str = ""
    closed: bool = False

    def answered(self, text: str, name: str) -> Prediction:
        """The text as an answer to what the reference answers."""
        return Prediction(
            name,
            Answer(text=text),
            question=self.question,
            references=(Answer(text=self.reference),),
            kind=("closed" if self.closed else "open") if self.question else None,
            modality=self.modality,
        )


@cache
def gallery() -> tuple[Exhibit, ...]:
    """All exhibits, by modality; RecipeError where a row of the table changes nothing."""
    rooms: Mapping[str, list[Mapping[str, Any]]] = packaged_table(__package__, "gallery.yaml")
    rows = [(name, row) for name, room in rooms.items() for row in room]
    return tuple(one for name, row in rows for one in _exhibits(name, row))


def modalities() -> tuple[str, ...]:
    """Those of the exhibits."""
    return tuple(dict.fromkeys(one.modality for one in gallery()))


def _exhibits(modality: str, row: Mapping[str, Any]) -> Iterator[Exhibit]:
    reference, question = row["reference"], row.get("question", "")
    for kind in KINDS:
        changed = _changed(row, kind)
        if changed is None:
            continue
        if changed == reference:
            raise RecipeError(f"{kind} changes nothing", where=f"{modality}: {reference}")
        closed = row.get("kind") == "closed"
        yield Exhibit(modality, kind, reference, changed, question, closed)


def _changed(row: Mapping[str, Any], kind: str) -> str | None:
    """The reference with this kind of change; None where it cannot have it."""
    reference = str(row["reference"])
    if kind == "empty":
        return ""
    if kind == "constant normal":
        return normal_text([reference])
    if kind == "shuffled sentences":
        parts = sentences(reference)
        return " ".join(reversed(parts)) if len(parts) > 1 else None
    if kind not in row:
        return None
    old, new = row[kind]
    return reference.replace(old, new, 1)
