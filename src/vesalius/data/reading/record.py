"""A row that knows which of its columns and keys were read, and what was remarked of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from vesalius.cases.case import Remark, Source
from vesalius.data.reading.headings import headed, suggested
from vesalius.data.reading.missing import is_missing
from vesalius.data.reading.rows import Cell, Located, none_if_nan, text_in
from vesalius.errors import DatasetError

YES_NO = {True: "yes", False: "no"}


class Record(dict[str, Any]):
    """A row, or a mapping inside one, that notes the keys that are read of it by ``[]`` or ``get``.

    Our own names are found in any case (``Image``, `` CAPTION``). Iterating and ``in`` read
    nothing.
    """

    def __init__(
        self, row: Mapping[str, Any], ours: Iterable[str] = (), *, within: Record | None = None,
        place: str = "",
    ) -> None:  # fmt: skip
        super().__init__(row)
        self._place = place
        self._read: set[str] = set()
        self._parts: list[Record] = []
        self._remarks: list[Remark] = [] if within is None else within._remarks
        known = set(ours)
        for name in row:
            plain = str(name).strip().lower()
            if plain in known and plain not in row:
                self[plain] = self.pop(name)

    def __getitem__(self, name: str) -> Any:
        self._read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """The value, which so counts as read."""
        self._read.add(name)
        return super().get(name, default)

    def peek(self, name: str) -> Any:
        """The value, which does not count as read; None where nothing stands."""
        return none_if_nan(super().get(name))

    def part(self, value: Any, place: str, where: Source, ours: Iterable[str] = ()) -> Record:
        """A mapping inside the row, what it holds noted likewise; DatasetError for anything else.

        ``place`` says what it is of, as in ``questions``.
        """
        if not isinstance(value, dict):
            raise DatasetError(f"{place}: a mapping is expected, not {_kind(value)}", where=where)
        part = Record(value, ours, within=self, place=f"{self._place}{place}.")
        self._parts.append(part)
        return part

    def remark(self, code: str, what: str) -> None:
        """Have the check tell ``what``, which quotes no value."""
        self._remarks.append(Remark(code, what))

    def unread(self) -> Iterator[str]:
        """The names of the columns, and of keys inside them, that hold something nobody read."""
        for name, value in self.items():
            if name not in self._read and not _is_empty(value):
                yield f"{self._place}{name}"
        for part in self._parts:
            yield from part.unread()

    def remarks(self, *, has_patient: bool) -> tuple[Remark, ...]:
        """All remarks on the row, one for each column that was not read among them."""
        unread = (
            _unread(name, has_patient=has_patient, inside=name not in self)
            for name in self.unread()
        )
        return tuple(dict.fromkeys((*self._remarks, *unread)))


def beside(located: Iterable[Located], published: Collection[str]) -> tuple[Remark, ...]:
    """Remarks on the columns that hold something and are none of a ``published`` set's own.

    Of its own a reader leaves out what it says on its card; others nobody has looked at.
    """
    return unread_keys((row for _, row in located), published)


def unread_keys(
    rows: Iterable[Mapping[str, Any]], known: Collection[str], place: str = "", plain: Any = ()
) -> tuple[Remark, ...]:
    """Remarks on keys that hold something and are none of those ``known``.

    ``place`` goes before them, as in ``annotations.``; ``plain`` are values that say nothing, such
    as a flag's 0.
    """
    held = (
        f"{place}{name}"
        for row in rows
        for name, value in row.items()
        if name not in known and not _is_empty(value) and value not in plain
    )
    # Where these stand no --column could map them.
    remarks = (f"the column or key {headed(name)} is not read" for name in dict.fromkeys(held))
    return tuple(Remark("unread_column", what) for what in remarks)


def _unread(name: str, *, has_patient: bool, inside: bool = False) -> Remark:
    what, field = f"the column or key {headed(name)} is not read", suggested(name)
    # A field of ours is unread where another takes its place; --column maps columns, no keys.
    if field in (None, name) or inside or (field == "patient" and has_patient):
        return Remark("unread_column", what)
    code = "unread_patient" if field == "patient" else "unread_column"
    return Remark(code, f"{what}; if it is the {field}: --column {field}={_quoted(name)}")


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[\w.-]+", name) else f"'{name}'"


def text_of(record: Record, where: Source, name: str) -> str | None:
    """A field's text, or None where it is empty; DatasetError for what is no text.

    A list of one text is that text.
    """
    value = record.peek(name)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], str):
        record.get(name)
        return value[0].strip() or None
    if isinstance(value, bool | dict | Cell) or (isinstance(value, list) and value):
        fault = f"{name} is no text but {_kind(value)}"
        raise DatasetError(fault, where=where, hint="give one text, or leave the field out")
    return text_in(record, name)


def id_of(record: Record, where: Source, *names: str) -> str | None:
    """An id or patient in the first of the fields ``names`` that has one.

    Marks of missing values are none; a number with ``.0``, as pandas writes whole numbers of a
    column with gaps, is the number. Both are remarked.
    """
    for name in names:
        text = text_of(record, where, name)
        if text is None:
            continue
        if is_missing(text):
            record.remark("na_id", f"{name} is a mark of a missing value")
            continue
        if re.fullmatch(r"[-+]?\d+\.0+", text):
            record.remark("number_id", f"{name} is a number with .0 and read without it")
            return text.partition(".")[0]
        if re.fullmatch(r"\d([.,]\d+)?[eE]\+?\d+", text):
            record.remark("rounded_id", f"{name} is a number in powers of ten")
        return text
    return None


def answer_text(record: Record, value: Any) -> str:
    """An answer as text: JSON's true and false are yes and no, which is remarked."""
    if isinstance(value, bool):
        record.remark("boolean_answer", "true and false are read as yes and no")
        return YES_NO[value]
    return str(value).strip()


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    kinds = {bool: "true or false", dict: "a mapping", Cell: "a picture", str: "a text"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "a number")


def _is_empty(value: Any) -> bool:
    return (
        none_if_nan(value) is None
        or (isinstance(value, str | list | dict) and not value)
        or (isinstance(value, str) and not value.strip())
    )
