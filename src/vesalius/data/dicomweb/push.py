"""Results into an archive by STOW-RS: structured reports and segmentations, nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pydicom

from vesalius.cases.decoded import quietly
from vesalius.data.dicomweb.archive import answers_of, client_of
from vesalius.errors import DatasetError

RESULTS = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.66.4")
"""Beginnings of the SOP classes of structured reports and segmentations."""


def push(url: str, paths: Iterable[Path]) -> int:
    """Send result files to the archive; how many it took.

    All are read before the first is sent. DatasetError names a file that is no result, and one that
    the archive does not take, with its reason; those before it are stored.
    """
    files = [(path, _result(path)) for path in paths]
    client = client_of(url)
    for path, file in files:
        with answers_of(url), quietly():
            answer = client.store_instances([file])
        _require_stored(path, answer)
    return len(files)


def _result(path: Path) -> Any:
    try:
        with quietly():
            file = pydicom.dcmread(path)
    except (OSError, pydicom.errors.InvalidDicomError) as error:
        raise DatasetError("not a DICOM file that can be read", where=path) from error
    if not str(file.get("SOPClassUID", "")).startswith(RESULTS):
        hint = "pictures are sent by what made them"
        raise DatasetError("neither a structured report nor a segmentation", where=path, hint=hint)
    return file


def _require_stored(path: Path, answer: Any) -> None:
    """DatasetError where the archive's answer lists a failure (PS3.18 I.2)."""
    failures = answer.get("FailedSOPSequence") or ()
    if failures:
        reason = int(failures[0].get("FailureReason", 0))
        raise DatasetError(f"the archive did not take it (reason {reason:#06x})", where=path)
