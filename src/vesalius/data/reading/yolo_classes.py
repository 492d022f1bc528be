"""The names of YOLO's classes: ``data.yaml``, ``classes.txt`` or Darknet's ``obj.names``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from vesalius.data.reading.texts import text
from vesalius.errors import DatasetError

NAME_FILES = ("data.yaml", "dataset.yaml", "data.yml", "classes.txt", "obj.names")
"""Files that name the classes, in the root or beside the labels."""


def yolo_names(root: Path, *beside: Path) -> dict[int, str]:
    """The class names by number; or none.

    They stand in the first of :data:`NAME_FILES` in ``root``, or in the folders ``beside`` the
    labels. DatasetError where another of these files calls a number something else: which of them
    the labels were written by, nobody can tell.
    """
    files = (folder / name for folder in dict.fromkeys((root, *beside)) for name in NAME_FILES)
    named = [(path, _names(path)) for path in files if path.is_file()]
    if not named:
        return {}
    first, names = named[0]
    for path, others in named[1:]:
        other = next((n for n, name in others.items() if names.get(n, name) != name), None)
        if other is not None:
            fault = f"class {other} is {others[other]!r}, and {names[other]!r} in {first.name}"
            hint = "keep the file that the labels were written by"
            raise DatasetError(fault, where=path, hint=hint)
    return names


def _names(path: Path) -> dict[int, str]:
    """One file's names; a line or an entry without a name keeps its number."""
    content = text(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        names = _stated(content, path)
    else:
        names = dict(enumerate(line.strip() for line in content.splitlines()))
    names = {number: name for number, name in names.items() if name}
    twice = next((name for name, often in Counter(names.values()).items() if often > 1), None)
    if twice is not None:
        numbers = " and ".join(str(number) for number, name in names.items() if name == twice)
        raise DatasetError(f"the classes {numbers} have one name, {twice!r}", where=path)
    return names


def _stated(content: str, path: Path) -> dict[int, str]:
    """The names of ``data.yaml``, a list or by number; words as they stand, such as yes and no."""
    try:
        settings = yaml.load(content, yaml.BaseLoader)  # noqa: S506  (it makes texts of all values)
        names = settings["names"]
        numbered = names.items() if isinstance(names, dict) else enumerate(_listed(names))
        named = {int(number): str(name).strip() for number, name in numbered}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DatasetError("there is no list of class names", where=path) from error
    _require_boxes(settings, len(named), path)
    return named


def _listed(names: Any) -> list[Any]:
    if not isinstance(names, list):
        raise TypeError("a list of names")
    return names


def _require_boxes(settings: Mapping[str, Any], classes: int, path: Path) -> None:
    counted = settings.get("nc", classes)
    if str(counted) != str(classes):
        raise DatasetError(f"nc is {counted}, and there are {classes} names", where=path)
    if "kpt_shape" in settings:
        hint = "keep the class and four numbers of each line, and take kpt_shape out"
        raise DatasetError("labels of poses (kpt_shape) are not read", where=path, hint=hint)
