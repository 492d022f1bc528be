"""Rows of a Hugging Face hub data set, pictures left as bytes for our own decoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vesalius.cases.case import Source
from vesalius.data.reading.rows import Cell, Located, Rows, none_if_nan, stored_bytes
from vesalius.data.reading.streams import ALL, SPLIT_NAMES
from vesalius.errors import DatasetError, MissingExtra


def hub_splits(name: str, *, streaming: bool = False) -> dict[str, Rows]:
    """The splits of hub data set ``name``; ``streaming`` reads it without keeping it on disk.

    Raises MissingExtra without the package ``datasets``, DatasetError if the hub does not answer.
    """
    try:
        import datasets
    except ImportError as error:
        raise MissingExtra("datasets", "hub") from error
    try:
        loaded = datasets.load_dataset(name, streaming=streaming)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        hint = "check the name and the connection, or download it and give --root"
        raise DatasetError(f"cannot be loaded: {error}", where=f"hub:{name}", hint=hint) from error
    parts = loaded if isinstance(loaded, Mapping) else {ALL: loaded}
    return {
        SPLIT_NAMES.get(split, split): partial(_rows, _undecoded(part), f"hub:{name}/{split}")
        for split, part in parts.items()
    }


def hub_file(name: str, file: str) -> Path:
    """A file of hub data set ``name``, downloaded to the hub's cache."""
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "hub") from error
    try:
        return Path(hf_hub_download(name, file, repo_type="dataset"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"{file} cannot be fetched: {error}", where=f"hub:{name}") from error


def hub_download(name: str, target: Path) -> Path:
    """All files of hub data set ``name``, in the folder ``target``, which the readers then read."""
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise MissingExtra("huggingface_hub", "hub") from error
    try:
        return Path(snapshot_download(name, repo_type="dataset", local_dir=target))
    except (OSError, ValueError) as error:
        raise DatasetError(f"cannot be fetched: {error}", where=f"hub:{name}") from error


def _undecoded(part: Any) -> Any:
    from datasets import Image

    for column, feature in (part.features or {}).items():
        if isinstance(feature, Image):
            part = part.cast_column(column, Image(decode=False))
    return part


def _rows(part: Any, place: str) -> Iterator[Located]:
    from datasets import IterableDataset

    pictures = _pictures(part)
    if isinstance(part, IterableDataset):
        for number, row in enumerate(part, start=1):
            where = Source(place, number)
            yield where, {name: _held(value, where) for name, value in row.items()}
        return
    words = part.select_columns([n for n in part.column_names if n not in pictures])
    stored = part.select_columns(pictures).with_format("arrow")
    for number in range(part.num_rows):
        where = Source(place, number + 1)
        row = {name: none_if_nan(value) for name, value in words[number].items()}
        there = stored[number] if pictures else {}
        for name in pictures:
            cell = Cell(partial(_cell, part, number, name, where))
            row[name] = cell if there[name][0].is_valid else None
        yield where, row


def _pictures(part: Any) -> list[str]:
    from datasets import Image

    return [name for name, feature in (part.features or {}).items() if isinstance(feature, Image)]


def _held(value: Any, where: Source) -> Any:
    # A streamed row cannot be asked for again, so its encoded bytes stay with it.
    if isinstance(value, dict) and "bytes" in value:
        return Cell(partial(stored_bytes, value, where))
    return none_if_nan(value)


def _cell(part: Any, number: int, name: str, where: Source) -> bytes:
    return stored_bytes(part.select_columns([name])[number][name], where)
