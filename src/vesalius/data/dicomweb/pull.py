"""Pictures out of an archive: listed by QIDO-RS, fetched by WADO-RS, one file each.

The files are as the archive has them, patients' names and all: they are de-identified like any
other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pydicom

from vesalius.cases.decoded import quietly
from vesalius.data.dicomweb.archive import answers_of, client_of
from vesalius.errors import DatasetError
from vesalius.system.files import write_atomic
from vesalius.system.parallel import progress_bar

PAGE = 200
"""Entries of a list that are asked for at a time."""
_STUDY, _SERIES, _INSTANCE = "0020000D", "0020000E", "00080018"


class Instance(NamedTuple):
    """An image object by the UIDs of its study, its series and itself."""

    study: str
    series: str
    uid: str

    @property
    def file_name(self) -> str:
        """A name that does not repeat the UID, by which an archive would know the patient."""
        return f"{blake2b(self.uid.encode(), digest_size=16).hexdigest()}.dcm"


@dataclass(frozen=True, slots=True)
class Pulled:
    """What came: new files, those that were here already, and how many of the list came not.

    ``more``: whether the archive has more than were asked for.
    """

    new: int
    here: int
    failures: Mapping[str, int]
    more: bool


def pull(url: str, target: Path, *, filters: Mapping[str, str] | None = None, limit: int) -> Pulled:
    """Fetch the first ``limit`` image objects whose series match ``filters`` into ``target``.

    ``filters`` are keywords of DICOM (``Modality``, ``StudyInstanceUID`` ...). A file that is there
    is not fetched again, so what stopped goes on. An object that cannot be fetched is counted by
    why; an archive that cannot be reached raises DatasetError, and what is there stays.
    """
    client = client_of(url)
    target.mkdir(parents=True, exist_ok=True)
    new = here = 0
    failures: dict[str, int] = {}
    more = False
    with answers_of(url), progress_bar("fetching", None) as advance:
        for number, one in enumerate(_instances(client, filters or {})):
            if number == limit:
                more = True
                break
            advance(1)
            path = target / one.file_name
            if path.exists():
                here += 1
                continue
            fault = _fetch(client, one, path)
            if fault is None:
                new += 1
            else:
                failures[fault] = failures.get(fault, 0) + 1
    return Pulled(new, here, failures, more)


def _fetch(client: Any, one: Instance, path: Path) -> str | None:
    """Write one object's file; why that was not possible, or None."""
    from requests import HTTPError

    try:
        with quietly():  # pydicom warns with a patient's values
            source = client.retrieve_instance(*one)
            if source.get("SOPInstanceUID") != one.uid:
                return "another object than was asked for"
            file = BytesIO()
            source.save_as(file, enforce_file_format=True)
    except DatasetError as error:  # too large
        return error.what
    except HTTPError as error:
        return f"answered {error.response.status_code}"
    except (ValueError, AttributeError, StopIteration, pydicom.errors.InvalidDicomError) as error:
        return f"no DICOM object ({type(error).__name__})"
    write_atomic(path, file.getvalue())
    return None


def _instances(client: Any, filters: Mapping[str, str]) -> Iterator[Instance]:
    """All image objects of the series that match, in the archive's order."""
    study = filters.get("StudyInstanceUID")
    others = {name: value for name, value in filters.items() if name != "StudyInstanceUID"}
    search = {"search_filters": others} if others else {}
    for row in _pages(client.search_for_series, _SERIES, study_instance_uid=study, **search):
        own = _uid(row, _STUDY) or study
        series = _uid(row, _SERIES)
        if own is None or series is None:
            raise DatasetError("the archive lists a series without its UIDs")
        places = {"study_instance_uid": own, "series_instance_uid": series}
        for entry in _pages(client.search_for_instances, _INSTANCE, **places):
            uid = _uid(entry, _INSTANCE)
            if uid is None:
                raise DatasetError("the archive lists an object without its UID")
            yield Instance(own, series, uid)


def _pages(search: Any, tag: str, **how: Any) -> Iterator[Mapping[str, Any]]:
    """All rows of a list, page by page; an archive that knows no pages gives all at once."""
    seen: set[str | None] = set()
    while True:
        rows = search(limit=PAGE, offset=len(seen), **how)
        if not all(isinstance(row, Mapping) for row in rows):
            raise DatasetError("the archive's list is none of DICOM's")
        fresh = [row for row in rows if _uid(row, tag) not in seen]
        yield from fresh
        seen |= {_uid(row, tag) for row in fresh}
        if len(rows) < PAGE or not fresh:
            return


def _uid(row: Mapping[str, Any], tag: str) -> str | None:
    match row.get(tag):
        case {"Value": [str(uid), *_]}:
            return uid
    return None
