"""Files of weights by their names and heads, before any library that would read them is loaded."""

from __future__ import annotations

import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vesalius.errors import ModelError

PICKLES = (
    ".bin", ".ckpt", ".dill", ".joblib", ".model", ".p", ".pickle", ".pkl", ".pt", ".pt2", ".pth",
)  # fmt: skip
"""Endings of files that are pickles, or hold one: reading them can run code."""
TOKENISERS = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "training_args.bin")
"""Names with such an ending that are no weights: sentencepiece's, and what a Trainer leaves."""
OWN_READERS = ("yolo",)
"""Entries that read pickles with a list of known classes, so that no other code runs."""
HINT = "a pickle can run code: convert it to safetensors; allow_pickle: true, where a model has it"
_MOST_HEAD = 100_000_000
"""Bytes of a head, as the format's own library limits it."""


def require_weights(place: str | Path, *, allow_pickle: bool = False) -> None:
    """ModelError where a local place is a pickle, or a folder of pickles alone, or names twice.

    A place that is neither file nor folder here (a hub's id) is not looked at.
    """
    path = Path(place)
    if path.is_file() and path.suffix.lower() in PICKLES and not allow_pickle:
        raise ModelError("is a pickle, not safetensors", where=path, hint=HINT)
    if not path.is_dir():
        return
    files = sorted(one for one in path.iterdir() if one.is_file())
    tensors = [one for one in files if one.suffix == ".safetensors"]
    pickles = [one for one in files if _is_pickle(one)]
    if pickles and not tensors and not allow_pickle:
        what = f"holds no safetensors, only a pickle ({pickles[0].name})"
        raise ModelError(what, where=path, hint=HINT)
    require_distinct(tensors)


_LONGEST = 255
"""Bytes of a file's name, at most."""


def require_block_weights(block: Mapping[str, Any]) -> None:
    """The same of each folder of weights that a recipe's block names, whatever the key."""
    allowed = block.get("allow_pickle") is True or block.get("name") in OWN_READERS
    for value in block.values():
        if isinstance(value, Mapping):
            require_block_weights(value)
        elif isinstance(value, str) and "\0" not in value and len(value) < 4096:
            path = Path(value).expanduser()
            if any(len(part.encode()) > _LONGEST for part in path.parts):
                continue  # a chat template, say: no file has such a name
            if path.is_file() or (path / "config.json").is_file():
                require_weights(path, allow_pickle=allowed)


def require_distinct(files: Iterable[Path]) -> None:
    """ModelError where a file of safetensors names a tensor twice.

    Readers differ in which of the two they take, so what was checked need not be what answers.
    Source: the format's description, "duplicate keys are disallowed".
    """
    for file in files:
        with file.open("rb") as stream:
            size = struct.unpack("<Q", stream.read(8).ljust(8, b"\0"))[0]
            head = stream.read(min(size, _MOST_HEAD))
        try:
            json.loads(head, object_pairs_hook=_distinct)
        except _Twice as error:
            what = f"names {error.name!r} twice"
            raise ModelError(what, where=file, hint="fetch or write it again") from error
        except ValueError:
            continue  # the format's own reader says what is wrong with it


class _Twice(Exception):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise _Twice(name)
    return dict(pairs)


def _is_pickle(file: Path) -> bool:
    return file.suffix.lower() in PICKLES and file.name not in TOKENISERS
