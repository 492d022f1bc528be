"""A rating: what a person or a judge says of one answer, on the axes of the review page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from vesalius.errors import RunError

Axis = Literal["accuracy", "relevance", "completeness", "clarity", "helpfulness"]
"""What an answer is rated on."""
AXES: tuple[str, ...] = get_args(Axis)
AXIS_QUESTIONS = dict(
    zip(AXES, ("right?", "to the point?", "all there?", "easy to read?", "of use?"), strict=True)
)
"""What raters are asked of each."""
GRADES = range(1, 6)
"""From 1 (poor) to 5 (excellent)."""
Fault = Literal[
    "wrong_finding",
    "missed_finding",
    "wrong_place",
    "wrong_side",
    "wrong_modality",
    "off_topic",
    "unsafe",
]
"""What can be wrong with an answer."""
FAULTS: tuple[str, ...] = get_args(Fault)
ErrorTag = Literal[
    "hallucination", "omission", "side", "negation", "location", "severity", "number"
]
"""How an answer departs from its reference, or from the picture."""
ERROR_TAGS: tuple[str, ...] = get_args(ErrorTag)
TAG_OF_FAULT: dict[str, str] = {
    "wrong_finding": "hallucination",
    "missed_finding": "omission",
    "wrong_place": "location",
    "wrong_side": "side",
}
"""Faults that are tags by another name: a rating has the tag, whoever said it in which words."""
ERRORS: dict[str, str] = {
    "hallucination": "states what is not there",
    "omission": "leaves out what is there and matters",
    "side": "takes left for right",
    "negation": "takes present for absent, or absent for present",
    "location": "names another place",
    "severity": "another degree or size",
    "number": "another count or measure",
    "wrong_modality": "another kind of picture",
    "off_topic": "does not answer the question",
    "unsafe": "could do harm",
}
"""What raters choose among, with its meaning: the tags, and the faults that none of them is."""
CORRECTNESS, SEVERITY = "correctness", "severity"
SCALES: dict[str, range] = dict.fromkeys(AXES, GRADES) | {
    CORRECTNESS: range(3),
    SEVERITY: range(5),
}
"""Every axis with its grades: those of the review page; ``correctness``, from 0 (wrong) over 1
(partly) to 2; ``severity`` of the worst error, from 0 (there is none) to 4 (urgent)."""
_WORDS = ("review", "id", "rater", "comment", "at")
_NO_AXES = {*_WORDS, "errors", "cannot_judge", "seconds", "judgement", "adjudication"}


@dataclass(frozen=True, slots=True)
class Rating:
    """A rater's opinion of one answer of a run: ``axes`` by SCALES, ``errors`` among ERRORS.

    ``prediction`` is the answer's id in the run, ``review`` names the review it was rated in, and
    ``rater`` who did: a hash of a person, or a judge's name. No axes: who looked could not judge
    it. ``seconds`` is how long it was looked at; ``created_at`` is None until stored.
    ``adjudication``: a final word of somebody who saw the raters', and no rating beside theirs.
    Raises RunError for an unknown axis or fault, or a grade off the scale. Faults of TAG_OF_FAULT
    become their tags.
    """

    review: str
    prediction: str
    rater: str
    axes: Mapping[str, int]
    errors: tuple[str, ...] = ()
    comment: str | None = None
    created_at: datetime | None = None
    seconds: float | None = None
    adjudication: bool = False

    def __post_init__(self) -> None:
        for axis, grade in self.axes.items():
            scale = SCALES.get(axis)
            if scale is None:
                what = f"there is no axis {axis!r}: {', '.join(SCALES)}"
                raise RunError(what, where=self.prediction)
            if not isinstance(grade, int) or isinstance(grade, bool) or grade not in scale:
                what = f"{axis} is {scale[0]} to {scale[-1]}, not {grade!r}"
                raise RunError(what, where=self.prediction)
        if unknown := [fault for fault in self.errors if fault not in FAULTS + ERROR_TAGS]:
            what = f"there is no fault {unknown[0]!r}: {', '.join(FAULTS + ERROR_TAGS)}"
            raise RunError(what, where=self.prediction)
        tags = dict.fromkeys(TAG_OF_FAULT.get(name, name) for name in self.errors)
        object.__setattr__(self, "errors", tuple(tags))

    def to_row(self) -> dict[str, Any]:
        """The rating as JSON-ready data, an axis a field, as ``vesalius ratings`` prints it."""
        row = {"review": self.review, "id": self.prediction, "rater": self.rater, **self.axes}
        at = None if self.created_at is None else self.created_at.isoformat()
        more = {"errors": list(self.errors), "comment": self.comment, "seconds": self.seconds}
        final = {"adjudication": True} if self.adjudication else {}
        return row | {"cannot_judge": not self.axes} | more | {"at": at} | final

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, where: object = None) -> Rating:
        """A rating from :meth:`to_row`'s data; RunError names a wrong field.

        ``id``, ``rater`` and the axes make one, the rest may be missing, and ``cannot_judge``
        follows from the axes, which any other field is; ``judgement``, what a judge's file has
        beside its rating, is not read.
        """
        words = {name: row.get(name) for name in _WORDS}
        faults = row.get("errors") or ()
        for name, value in words.items():
            if not isinstance(value, str) and (value is not None or name in {"id", "rater"}):
                raise RunError(f"not a rating row: {name} is a text, not {value!r}", where=where)
        if not isinstance(faults, list | tuple):
            raise RunError(f"not a rating row: errors is a list, not {faults!r}", where=where)
        axes = {name: grade for name, grade in row.items() if name not in _NO_AXES}
        at, seconds = words["at"], row.get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float | None):
            raise RunError(f"not a rating row: seconds is a number, not {seconds!r}", where=where)
        final = row.get("adjudication") or False
        if not isinstance(final, bool):
            what = f"not a rating row: adjudication is true or false, not {final!r}"
            raise RunError(what, where=where)
        try:
            return cls(
                words["review"] or "",
                row["id"],
                row["rater"],
                axes,
                tuple(faults),
                words["comment"],
                None if at is None else datetime.fromisoformat(at),
                seconds,
                final,
            )
        except ValueError as error:
            raise RunError(f"not a rating row: at: {error}", where=where) from error
        except RunError as error:
            raise RunError(f"not a rating row: {error.what}", where=where) from error
