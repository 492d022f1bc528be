"""Rows of CSV, TSV, semicolon- and pipe-separated files, as offices and scripts write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from vesalius.cases.case import Source
from vesalius.data.reading.headings import require_distinct
from vesalius.data.reading.rows import Located
from vesalius.data.reading.texts import lines
from vesalius.errors import DatasetError

DELIMITERS = "\t|,;"
"""In order of trust: a caption often holds commas and semicolons, seldom tabs or pipes."""
NAMES = {"\t": "tab", "|": "|", ",": "comma", ";": ";"}
SEP = re.compile(r'"?sep=(?P<delimiter>[^"\w\x00])"?[\t|,;\s]*', re.IGNORECASE)
"""The line by which Excel says what delimits the fields; it is no row."""
SAMPLE = 64
"""Lines from which the delimiter is chosen."""
LONGEST = 2**28
"""Characters of one field: a picture may stand in a cell as base64."""


def delimited_rows(path: Path, encoding: str | None = None) -> Iterator[Located]:
    """The rows of a file whose first line is a header; DatasetError names file, row and fault.

    Empty fields behind the last heading are no fields.
    """
    delimiter = sniff_delimiter(path, encoding)
    names: list[str] | None = None
    for number, record in enumerate(_records(path, delimiter, encoding)):
        if names is None:
            names = _headings(record, path)
        else:
            yield _named(Source(path.as_posix(), number), names, record, delimiter)


def headings(path: Path, encoding: str | None = None) -> list[str]:
    """The names in the first line of a delimited file."""
    delimiter = sniff_delimiter(path, encoding)
    return _headings(next(_records(path, delimiter, encoding), []), path)


def named_rows(path: Path, columns: Mapping[str, Sequence[str]]) -> Iterator[Located]:
    """A delimited file's rows under our names; ``columns`` maps each to its possible headings.

    The delimiter is sniffed. The first line is a header if it holds a heading of the first column;
    otherwise the columns are taken in the order given.
    """
    delimiter = sniff_delimiter(path)
    first = next(_records(path, delimiter))
    header = _header(first, columns, where=f"{path} (delimiter: {NAMES.get(delimiter, delimiter)})")
    names = header or list(columns)
    skip = 0 if header is None else 1
    id_and_text = names == list(columns)
    for number, record in enumerate(_records(path, delimiter), start=1 - skip):
        if number > 0:
            where = Source(path.as_posix(), number)
            fields = _joined(record, names, delimiter) if id_and_text else record
            yield _named(where, names, fields, delimiter)


def delimited_lines(path: Path, delimiter: str, names: Sequence[str]) -> Iterator[Located]:
    """The rows of a file without a header; DatasetError names a row with too few fields."""
    for number, record in enumerate(_records(path, delimiter), start=1):
        fields = _joined(record, names, delimiter)
        yield _named(Source(path.as_posix(), number), names, fields, delimiter)


def split_lines(path: Path, delimiter: str | None) -> Iterator[tuple[Source, list[str]]]:
    """The fields of every line, however many; no header, no quoting. None: any white space."""
    for number, line in enumerate(lines(path), start=1):
        if line.strip():
            yield Source(path.as_posix(), number), line.rstrip("\r\n").split(delimiter)


def sniff_delimiter(path: Path, encoding: str | None = None) -> str:
    """The delimiter of a file; DatasetError where its first line holds none.

    That of Excel's ``sep=`` line; or the one in the first line that splits all of the first rows
    alike; or else the one least likely in a text.
    """
    sample = list(islice((line for line in lines(path, encoding) if line.strip()), SAMPLE))
    if not sample:
        raise DatasetError("the file is empty", where=f"{path} row 1")
    said = SEP.fullmatch(sample[0].rstrip("\r\n"))
    if said:
        return said["delimiter"]
    inside = [delimiter for delimiter in DELIMITERS if delimiter in sample[0]]
    if not inside:
        fault = "no tab, |, comma or ; in the first line"
        hint = "it names the columns: remove what stands above it"
        raise DatasetError(fault, where=f"{path} row 1", hint=hint)
    alike = {d: width for d in inside if (width := _width(sample, d))}
    if alike.get(";", 0) > alike.get(",", 0) and next(iter(alike)) == ",":
        return ";"  # a decimal comma in every row
    return next(iter(alike), inside[0])


def _width(sample: Sequence[str], delimiter: str) -> int:
    """How many fields the delimiter makes of every row of a sample; 0 where they differ."""
    records: list[list[str]] = []
    try:
        for record in _fields(sample, delimiter):
            records += [record]
    except csv.Error:
        pass  # the sample may end within a quoted field; a fault in the file is met when it is read
    width = len(_trimmed(records[0])) if records else 0
    alike = all(len(r) >= width and not any(r[width:]) for r in records[1:])
    return width if width > 1 and alike else 0


def _trimmed(header: Sequence[str]) -> list[str]:
    names = [cell.strip() for cell in header]
    while names and not names[-1]:
        names.pop()
    return names


def _headings(header: Sequence[str], path: Path) -> list[str]:
    names = _trimmed(header)
    if not names:
        raise DatasetError("the first line has no heading", where=f"{path} header")
    require_distinct(names, f"{path} header")
    return names


def _header(
    first: list[str], columns: Mapping[str, Sequence[str]], *, where: str
) -> list[str] | None:
    cells = [cell.lower() for cell in _trimmed(first)]
    ours = {heading.lower(): name for name, headings in columns.items() for heading in headings}
    anchor = next(iter(columns))
    if anchor not in [ours.get(cell) for cell in cells]:
        return None
    names = [ours.get(cell, cell) for cell in cells]
    missing = [name for name in columns if name not in names]
    if missing:
        hint = f"the header has {', '.join(first)}; looked for {', '.join(columns[missing[0]])}"
        raise DatasetError(f"there is no {missing[0]} column", where=where, hint=hint)
    return names


def _joined(record: list[str], names: Sequence[str], delimiter: str) -> list[str]:
    # Ids, then a text: only the text, the last, may hold the delimiter unquoted.
    last = len(names) - 1
    return record if len(record) <= len(names) else [*record[:last], delimiter.join(record[last:])]


def _named(where: Source, names: Sequence[str], record: list[str], delimiter: str) -> Located:
    if not any(record[len(names) :]):
        record = record[: len(names)]
    if len(record) != len(names):
        fault = f"{len(record)} fields where {len(names)} are expected ({', '.join(names)})"
        held = "it" if len(record) > len(names) else "a line end"
        said = NAMES.get(delimiter, delimiter)
        hint = f"the delimiter is {said}; quote the field that holds {held}"
        raise DatasetError(fault, where=where, hint=hint)
    return where, dict(zip(names, record, strict=True))


def _records(path: Path, delimiter: str, encoding: str | None = None) -> Iterator[list[str]]:
    """The fields of every row that is not empty; without Excel's ``sep=`` line."""
    number = 0
    try:
        for record in _fields(_without_sep(lines(path, encoding)), delimiter):
            if any(map(str.strip, record)):  # Excel writes delimiters alone for what was cleared
                number += 1
                yield record
    except csv.Error as error:
        fault = f"not valid CSV: {error}"
        raise DatasetError(fault, where=f"{path} row {number} or after it") from error


def _without_sep(given: Iterable[str]) -> Iterator[str]:
    first = True
    for line in given:
        if not (first and SEP.fullmatch(line.rstrip("\r\n"))):
            yield line
        first = first and not line.strip()


def _fields(given: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Fields, by line or by CSV's quoting.

    Tab and pipe files are often raw dumps in which a quotation mark is only a quotation mark, so
    that a line ends a row there, unless its last field was opened with a mark and not closed.
    """
    if delimiter not in "\t|":
        csv.field_size_limit(LONGEST)
        yield from filter(None, csv.reader(given, delimiter=delimiter, strict=True))
        return
    width, open_row = 0, ""
    for line in given:
        if not (open_row or line).strip():
            continue
        fields = (open_row + line).rstrip("\r\n").split(delimiter)
        if len(fields) < width and _opened(fields[-1]):
            open_row += line
            continue
        width, open_row = width or len(fields), ""
        yield [_unquoted(field) for field in fields]
    if open_row:
        yield open_row.rstrip("\r\n").split(delimiter)


def _opened(field: str) -> bool:
    return field.lstrip().startswith('"') and field.count('"') % 2 == 1


def _unquoted(field: str) -> str:
    inner = field.strip()[1:-1]
    if re.fullmatch(r'\s*".*"\s*', field, re.DOTALL) and '"' not in inner.replace('""', ""):
        return inner.replace('""', '"')
    return field
