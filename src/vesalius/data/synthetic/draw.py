"""Phantoms in a publisher's layout: a small data set that the publisher's reader opens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vesalius.data.reading.streams import ORDER
from vesalius.data.synthetic import Cohort, Layout, layouts
from vesalius.data.synthetic.cohort import cohort
from vesalius.errors import DatasetError, UnknownName
from vesalius.system.files import write_atomic


def draw(dataset: str, folder: Path, *, cases: Mapping[str, int], seed: int) -> Path:
    """Write so many phantoms a split (train, validation, test) as ``dataset`` into ``folder``.

    The same cases and seed give the same files, byte for byte, with the same versions of Pillow
    and pyarrow. UnknownName where the set has no drawn form, DatasetError where the folder holds
    something already. :func:`reading` has the options for reading it.
    """
    layout: Layout = layouts[dataset]
    for split in cases:
        if split not in ORDER:
            raise UnknownName("split", split, ORDER)
    if folder.exists() and any(folder.iterdir()):
        raise DatasetError("the folder is not empty", where=folder, hint="name a new one")
    drawn = cohort(layout, cases, seed)
    folder.mkdir(parents=True, exist_ok=True)
    layout.write(folder, drawn)
    if layout.splits is not None:
        _write_splits(folder / layout.splits, drawn)
    return folder


def reading(dataset: str, folder: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The reader's options for ``dataset`` drawn in ``folder``.

    Of the options ``given``, those that speak of the publisher's own files (a year, a release, a
    split file) are left out.
    """
    layout: Layout = layouts[dataset]
    own = {name: value for name, value in (given or {}).items() if name in layout.keeps}
    dealt = {} if layout.splits is None else {"split_file": (folder / layout.splits).as_posix()}
    return {**layout.options, **own, **dealt}


def _write_splits(path: Path, drawn: Cohort) -> None:
    rows = ({"id": one.case.id, "split": split} for split, held in drawn.items() for one in held)
    write_atomic(path, "".join(json.dumps(row) + "\n" for row in rows))
