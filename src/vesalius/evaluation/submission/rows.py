"""The rows of a submission, each image of the split once: where files and predictions end up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vesalius.errors import DatasetError
from vesalius.evaluation.submission.forms import Fault, Form

SHOWN = 3
"""How many faults a message names; the others are counted."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What a task's file says of each image of the split.

    ``values`` is by id, in the order in which they were met; ``moved`` counts those at another
    place than in the split, ``empty`` those without caption or concepts.
    """

    form: Form
    values: Mapping[str, str]
    moved: int
    empty: int


class Rows:
    """Rows as they come, and what is wrong with them."""

    def __init__(self, form: Form, ids: tuple[str, ...]) -> None:
        form.require_ids(ids)
        self._form = form
        self._places = {name: place for place, name in enumerate(ids)}
        self._values: dict[str, str] = {}
        self._first: dict[str, str] = {}
        self._faults: list[str] = []
        self._count = 0

    def add(self, place: str, name: str, value: str) -> None:
        """The row at ``place`` (``line 7``); Fault if the split or the form does not let it in.

        A faulty value still stands for its image, so that this is not reported as missing, too.
        """
        if name not in self._places:
            raise Fault("its id is none of the split's images")
        if name in self._first:
            raise Fault(f"the image of {self._first[name]} again")
        self._first[name] = place
        self._values[name] = value
        self._form.require(value)

    def refuse(self, place: str, what: str) -> None:
        """Note a fault."""
        self._count += 1
        if len(self._faults) < SHOWN:
            self._faults.append(f"{place}: {what}")

    def submission(self, where: object) -> Submission:
        """All rows; DatasetError names the first faults, and the images that are missing."""
        missing = [place for name, place in self._places.items() if name not in self._values]
        if missing:
            total = f"{len(missing):,} of {len(self._places):,} images are missing"
            self.refuse("the whole", f"{total}, the first is number {missing[0] + 1} of the split")
        if self._count:
            more = f"; and {self._count - len(self._faults):,} more faults"
            what = "; ".join(self._faults) + (more if self._count > len(self._faults) else "")
            raise DatasetError(what, where=where)
        met = zip(self._values, self._places, strict=True)
        return Submission(
            form=self._form,
            values=self._values,
            moved=sum(one != other for one, other in met),
            empty=sum(not value for value in self._values.values()),
        )
