"""The form of a submission: what stands in a row of a task's file in a year, and what may not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vesalius.errors import DatasetError, UnknownName
from vesalius.evaluation.prediction_sets import ABSENT
from vesalius.settings import Frozen
from vesalius.system.tables import packaged_table

Task = Literal["captions", "concepts"]
TASKS: tuple[Task, ...] = ("captions", "concepts")
# A field of RFC 4180 on one line: bare without a quotation mark, or quoted with doubled ones.
_FIELD = r'(?:"[^"]*(?:""[^"]*)*"|[^",]*)'
_ROW = re.compile(rf"({_FIELD}),({_FIELD})")
_PARTS = re.compile('[,|"]')
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffd]")
"""Control characters, what some programs take for a line end, a byte order mark within a text, and
what stands for characters that a decoder did not know."""


class Fault(Exception):
    """What is wrong with a row; the reader adds its line, the writer its prediction."""


class Year(Frozen):
    """How one year's files are laid out."""

    delimiter: Literal[",", "|"]
    quoted: bool
    """Whether a field may stand in quotation marks; where not, they are text."""
    header: Literal["required", "optional"]
    archive: str | None
    """The name of the file within the zip archive that is uploaded, if one is."""
    source: str


class Forms(Frozen):
    """The facts of ``forms.yaml``."""

    id: str
    headings: Mapping[Task, str]
    most: int
    concept: str
    longest: int
    years: Mapping[int, Year]


@lru_cache(maxsize=1)
def forms() -> Forms:
    """What the organisers take, by year."""
    return Forms.model_validate(packaged_table(__package__, "forms.yaml"))


def year_of(number: int | None) -> int:
    """That year, by default the latest; UnknownName if its form is not known."""
    known = forms().years
    if number is not None and number not in known:
        raise UnknownName("year", str(number), map(str, known), where="--year")
    return max(known) if number is None else number


@dataclass(frozen=True, slots=True)
class Form:
    """The form of one task's file in one year.

    ``known`` holds the concepts (CUIs) of the data set's own mapping; None: they are not looked up.
    ``allow_empty`` lets a caption be empty, as of an image for which a model abstained.
    """

    task: Task
    number: int
    known: Set[str] | None = None
    allow_empty: bool = False

    @property
    def year(self) -> Year:
        """How that year's files are laid out."""
        return forms().years[self.number]

    @property
    def headings(self) -> tuple[str, str]:
        """The names of the two columns."""
        return forms().id, forms().headings[self.task]

    @property
    def header(self) -> str:
        """The first line, without its end."""
        return self.year.delimiter.join(self.headings)

    def lines(self, values: Mapping[str, str], ids: tuple[str, ...]) -> Iterator[str]:
        """The file's lines: its header, then each image's row, in the order of ``ids``."""
        yield f"{self.header}\n"
        for name in ids:
            yield self._line(name, values[name], bare=self.task == "concepts")

    def fields(self, line: str) -> tuple[str, str]:
        """The id and the value of a line without its end; Fault if it is no such row."""
        if not self.year.quoted:
            parts = line.split(self.year.delimiter)
            if len(parts) != 2:
                raise Fault(f"{len(parts)} fields parted by | where 2 are expected")
            return parts[0], parts[1]
        match = _ROW.fullmatch(line)
        if match is None:
            raise Fault(_misquoted(line))
        name, value = map(_unquoted, match.groups())
        return name, value

    def require_ids(self, ids: Sequence[str]) -> None:
        """DatasetError if a split's ids are none, not different, or cannot stand in the file."""
        if not ids:
            raise DatasetError("the split has no images")
        for place, name in enumerate(ids, start=1):
            if name != name.strip() or not name or _UNPRINTABLE.search(name) or _PARTS.search(name):
                what = f"the id of image {place} of the split cannot stand in a submission"
                hint = "an id has no comma, no |, no quotation mark and no white space around it"
                raise DatasetError(what, hint=hint)
        if len(set(ids)) < len(ids):
            raise DatasetError(f"{len(ids) - len(set(ids)):,} ids of the split are there twice")

    def require(self, value: str) -> None:
        """Fault if the value cannot stand in the file."""
        if _UNPRINTABLE.search(value):
            raise Fault("a control character, a line end or an undecoded character in the text")
        if len(value) > forms().longest:
            raise Fault(f"{len(value):,} characters, {forms().longest:,} can be read")
        if value != value.strip():
            raise Fault("white space before or after the text")
        if not self.year.quoted and self.year.delimiter in value:
            raise Fault(f"{self.year.delimiter} in the text, which parts the fields of this year")
        if self.task == "captions":
            self._require_caption(value)
        else:
            self._require_concepts(value)

    def _require_caption(self, text: str) -> None:
        if not text and not self.allow_empty:
            raise Fault("the caption is empty")
        if text in ABSENT:
            raise Fault("the caption is the word that a program writes where there is none")

    def _require_concepts(self, text: str) -> None:
        concepts = text.split(";") if text else []
        if len(concepts) > forms().most:
            raise Fault(f"{len(concepts)} concepts, {forms().most} are allowed")
        for place, concept in enumerate(concepts, start=1):
            if not re.fullmatch(forms().concept, concept):
                raise Fault(f"concept {place} is no CUI (C and seven digits, parted by ;)")
            if concept in concepts[: place - 1]:
                raise Fault(f"concept {place} is listed twice")
            if self.known is not None and concept not in self.known:
                raise Fault(f"concept {place} is not in the data set's mapping")

    def _line(self, name: str, value: str, *, bare: bool) -> str:
        if self.year.quoted and not bare:
            value = '"' + value.replace('"', '""') + '"'
        return f"{name}{self.year.delimiter}{value}\n"


def _unquoted(field: str) -> str:
    return field[1:-1].replace('""', '"') if field.startswith('"') else field


def _misquoted(line: str) -> str:
    if line.count('"') % 2:
        return 'a quotation mark is not closed on its line (within a text it is written twice: "")'
    if "," not in line:
        return "there is no comma between id and text"
    return "not two fields: a text with a comma or a quotation mark stands in quotation marks"
