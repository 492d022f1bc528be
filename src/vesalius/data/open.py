"""Open a data set by name: from a folder, from the hub, or under a split file of your own."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Case, Remark, Source
from vesalius.data.audit import Key
from vesalius.data.box_questions import OPTION as BOXES
from vesalius.data.box_questions import with_box_questions
from vesalius.data.caption_concepts import OPTION, with_caption_concepts
from vesalius.data.cards import card
from vesalius.data.datasets import Dataset, datasets
from vesalius.data.dealing import dealing_in, dealt_anew
from vesalius.data.reading.rows import required, text_in
from vesalius.data.reading.streams import Streams, in_order
from vesalius.data.reading.tables import read_rows
from vesalius.data.split import qualified
from vesalius.errors import DatasetError

HOME = "VESALIUS_DATA"
NAMED = 5
"""How many absent ids an error names."""
ROOTLESS = ("phantom",)
"""Sets that are drawn, not read."""


def open_dataset(
    name: str,
    root: Path | str | None = None,
    hub: bool | str = False,
    options: Mapping[str, Any] | None = None,
    *,
    split_file: Path | str | None = None,
) -> Dataset:
    """The data set ``name``, in folder ``root`` (by default ``$VESALIUS_DATA/<name>``) or the hub.

    ``hub`` is true for the card's id, or another id. ``split_file`` (JSON lines of ``id`` and
    ``split``; also an option of that name) replaces the publisher's splits. The option
    ``concepts_from`` names a dictionary by which captions become concepts, ``box_questions`` what
    is asked of boxes in words; those of
    :class:`~vesalius.data.dealing.Dealing` make groups and splits anew. Raises UnknownName,
    DatasetError where the folder is missing, RecipeError for an option the reader does not have.
    """
    reader, chosen = datasets[name], dict(options or {})
    split_file = chosen.pop("split_file", None) or split_file
    dictionary, asked = chosen.pop(OPTION, None), chosen.pop(BOXES, None)
    dealing = dealing_in(chosen)
    if hub:
        dataset: Dataset = reader.open(None, hub=_hub_id(name, hub), options=chosen)
    else:
        dataset = reader.open(dataset_root(name, root), options=chosen)
    if dictionary is not None:
        dataset = with_caption_concepts(dataset, str(dictionary))
    if asked is not None:
        dataset = with_box_questions(dataset, asked)
    if split_file is not None:
        dataset = under(dataset, Path(split_file))
    return dealt_anew(dataset, dealing)


def dataset_root(name: str, root: Path | str | None = None) -> Path | None:
    """The folder of data set ``name``; DatasetError says what to set where there is none.

    A relative ``root`` is looked for from here, then under ``$VESALIUS_DATA``.
    """
    home = os.environ.get(HOME)
    if root is not None:
        path = Path(root).expanduser()
        candidates = [path, *([Path(home).expanduser() / path] if home else [])]
        folder = next((p for p in candidates if p.exists()), None)
        if folder is None:
            hint = f"check its path, or set {HOME} to the folder it lies in"
            raise DatasetError("there is no such folder or file", where=path, hint=hint)
        return folder
    if name in ROOTLESS:
        return None
    if not home:
        hint = f"give --root, or set {HOME} to the folder that holds {name}/"
        raise DatasetError(f"where {name} lies is not known", hint=hint)
    path = Path(home).expanduser() / name
    if not path.exists():
        hint = f"`vesalius data get {name}` says where to get it; or give --root, or use the hub"
        raise DatasetError("there is no such folder", where=path, hint=hint)
    return path


def new_root(name: str, root: Path | None = None) -> Path:
    """The folder into which data set ``name`` belongs, whether or not it is there."""
    home = os.environ.get(HOME)
    if root is None and not home:
        raise DatasetError(f"where {name} goes is not known", hint=f"give --root, or set {HOME}")
    return root if root is not None else Path(str(home)).expanduser() / name


def lies_at(name: str) -> str:
    """Where data set ``name`` was found under ``$VESALIUS_DATA``, in words."""
    if name in ROOTLESS:
        return "made when asked for"
    try:
        return str(dataset_root(name))
    except DatasetError:
        return "not found"


def under(dataset: Dataset, split_file: Path) -> Streams:
    """``dataset`` with its cases dealt by a split file; unlisted ones are left out, and counted.

    A row's ``from`` tells cases of one id apart: such a case is then called ``from/id``.
    """
    assigned = read_splits(split_file)
    names = in_order(set(assigned.values()))
    return Streams(
        split_file.as_posix(),
        {
            name: partial(_dealt, dataset, assigned, name, split_file, counts=name == names[0])
            for name in names
        },
        mapping=getattr(dataset, "mapping", None),
    )


def read_splits(path: Path) -> dict[Key, str]:
    """Each case's split, from JSON lines; a case dealt to two splits raises DatasetError.

    The split of a key is the row's ``from``, the one that the data set has the case in; "" where
    the id alone names it.
    """
    assigned: dict[Key, str] = {}
    for where, row in read_rows(path):
        name, split = required(row, where, "id"), required(row, where, "split")
        key = Key(name, text_in(row, "from") or "")
        if assigned.setdefault(key, split) != split:
            fault = f"case {name!r} is in {assigned[key]} and in {split}"
            raise DatasetError(fault, where=Source(path.as_posix(), where.row))
    if not assigned:
        raise DatasetError("the split file has no rows", where=path)
    return assigned


def _dealt(
    dataset: Dataset, assigned: Mapping[Key, str], split: str, file: Path, *, counts: bool
) -> Iterator[Case]:
    """A split's cases; DatasetError for an id that two cases have, at the end for absent ones.

    With ``counts`` the last case tells how many cases of the set are in no split.
    """
    met: dict[Key, Source | None] = {}
    unlisted, last = 0, None
    for original in dataset.splits():
        for case in dataset.cases(original):
            own, any_split = Key(case.id, original), Key(case.id, "")
            key = own if own in assigned else any_split
            unlisted += key not in assigned
            if assigned.get(key) == split:
                refuse_twin(case, key, met)
                if last is not None:
                    yield last
                last = replace(case, id=qualified(key) if key.split else case.id, split=split)
    if last is not None:
        what = f"{unlisted} cases of the set are in no split of {file.name}"
        remarks = (Remark("not_dealt", what),) if counts and unlisted else ()
        yield replace(last, remarks=(*last.remarks, *remarks))
    absent = [key.id for key, part in assigned.items() if part == split and key not in met]
    if absent:
        named = ", ".join(absent[:NAMED]) + (" ..." if len(absent) > NAMED else "")
        fault = f"{len(absent)} cases listed for {split} are not in the data set: {named}"
        raise DatasetError(fault, where=file, hint="was it made for another data set?")


def refuse_twin(case: Case, key: Key, met: dict[Key, Source | None]) -> None:
    """DatasetError if the key was met before: it decides the split, so it names one case."""
    if key in met:
        fault = f"the case id {case.id!r} is also at {met[key]}"
        hint = "give each case an id of its own, or in a split file its split as `from`"
        raise DatasetError(fault, where=case.source, hint=hint)
    met[key] = case.source


def _hub_id(name: str, hub: bool | str) -> str:
    if isinstance(hub, str):
        return hub
    known = card(name).hub
    if not known:
        hint = "give a hub id: --hub owner/name"
        raise DatasetError(f"the card of {name} names no hub data set", hint=hint)
    return known[0]
