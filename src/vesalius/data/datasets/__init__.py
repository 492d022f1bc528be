"""The registry of data sets, and what each entry must offer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from vesalius.cases.case import Case
from vesalius.registry import Registry

_HERE = "vesalius.data.datasets"

datasets = Registry(
    "dataset",
    {
        "brain_tumor": f"{_HERE}.brain_tumor:BrainTumor",
        "dicom": f"{_HERE}.dicom:Dicom",
        "folder": f"{_HERE}.folder:Folder",
        "image_clef": f"{_HERE}.image_clef:ImageClef",
        "medpix": f"{_HERE}.medpix:MedPix",
        "path_vqa": f"{_HERE}.path_vqa:PathVqa",
        "phantom": f"{_HERE}.phantom:Phantom",
        "roco": f"{_HERE}.roco:Roco",
        "slake": f"{_HERE}.slake:Slake",
        "vqa_med": f"{_HERE}.vqa_med:VqaMed",
        "vqa_rad": f"{_HERE}.vqa_rad:VqaRad",
    },
)


class Dataset(Protocol):
    """A data set opened at a folder or a hub: named splits, each a stream of cases."""

    def splits(self) -> tuple[str, ...]:
        """The splits that are there, ``train`` first."""

    def cases(self, split: str) -> Iterator[Case]:
        """The split's cases, streamed in a stable order, pictures unread.

        Raises UnknownName for a split that is not there, DatasetError naming file and row.
        """


class Reader(Protocol):
    """A registry entry: it opens one publisher's layouts."""

    @classmethod
    def open(
        cls, root: Path | None, *, hub: str | None = None, options: Mapping[str, Any]
    ) -> Dataset:
        """The set in folder ``root``, or on the hub; unknown options are refused by name."""
