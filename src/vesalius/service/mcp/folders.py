"""Which files an agent may name: those in the folders that were named to the server, and no others.

Links count as what they lead to. A run is looked at whole: neither a link in its folder nor what
its recipe names may lead out of the folders.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vesalius.errors import Refusal
from vesalius.recipe import RUN
from vesalius.run import Run

RECIPE = "recipe.yaml"
"""What makes a folder a run."""
PATH = re.compile(r"(?<![\w/.])(?:/[^\s/'\"(),;:]+){2,}/?")
"""A path of a file system in a message."""


@dataclass(frozen=True, slots=True)
class Folders:
    """The folders by what agents call them: their own names, numbered where two are the same.

    ``write``: whether steps may save what they make there.
    """

    roots: Mapping[str, Path]
    write: bool = False

    @classmethod
    def of(cls, paths: Iterable[Path], *, write: bool = False) -> Folders:
        """These folders; Refusal for what is none."""
        roots: dict[str, Path] = {}
        for path in paths:
            root = path.expanduser().resolve()
            if not root.is_dir():
                raise Refusal("not_found", "is no folder", where=path)
            same = sum(label.partition("~")[0] == root.name for label in roots)
            roots[f"{root.name}~{same + 1}" if same else root.name] = root
        return cls(roots, write)

    def place(self, name: str) -> Path:
        """The file or folder that is called ``FOLDER/...``, or by its whole path.

        Refusal unless it is there, and within a folder once every link is followed.
        """
        label, _, rest = name.partition("/")
        path = Path(name) if Path(name).is_absolute() else self.roots.get(label, Path(name)) / rest
        known = ", ".join(self.roots)
        if "\0" in name or "://" in name or not self.holds(path):
            what = f"{name!r} is not in the folders of this server"
            raise Refusal("forbidden", what, hint=f"names begin with one of: {known}")
        if not os.path.exists(path):  # noqa: PTH110 - Path raises where a name is too long
            raise Refusal("not_found", f"there is no {name!r}", hint="the tool list names what is")
        if not (path.is_file() or path.is_dir()):  # a pipe would be waited for
            raise Refusal("invalid_request", f"{name!r} is neither file nor folder")
        return path.resolve()

    def holds(self, path: Path) -> bool:
        """Whether a path is within a folder, once every link in it is followed."""
        if not path.is_absolute():
            return False
        try:
            real = path.resolve()
        except (RuntimeError, OSError):  # links in a circle lead nowhere
            return False
        return any(real.is_relative_to(root) for root in self.roots.values())

    def name(self, path: Path) -> str:
        """What a path within a folder is called to agents."""
        label, root = next((at, r) for at, r in self.roots.items() if path.is_relative_to(r))
        return Path(label, path.relative_to(root)).as_posix()

    def run(self, name: str) -> Run:
        """The run of that name, of which nothing leads out of the folders; Refusal otherwise."""
        run = Run.open(self.place(name))
        self._require_run(run, set())
        return run

    def require_links(self, folder: Path) -> None:
        """Refusal if a link anywhere in a folder leads out of the folders."""
        for link in _links(folder):
            if not self.holds(link):
                what = f"{self.name(folder)!r} has a link that leads out of this server's folders"
                raise Refusal("forbidden", what, hint="name its folder to the server, too")

    def mask(self, text: str) -> str:
        """The text without paths: those within the folders by name, no other."""
        for label, root in self.roots.items():
            text = text.replace(str(root), label)
        return PATH.sub("(a path)", text)

    def _require_run(self, run: Run, known: set[Path]) -> None:
        known.add(run.path)
        self.require_links(run.path)
        for path in _named(run):
            if not self.holds(path):
                what = f"{self.name(run.path)!r} names a path outside of this server's folders"
                raise Refusal("forbidden", what, hint="name its folder to the server, too")
            if path not in known and (path / RECIPE).exists():
                self._require_run(Run.open(path.resolve()), known)


def _links(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                yield Path(entry.path)
            elif entry.is_dir():
                yield from _links(Path(entry.path))


def _named(run: Run) -> Iterator[Path]:
    """What a run's recipe names and is there; relative paths are from where this process works."""
    for text in _texts(run.recipe().model_dump()):
        path = os.path.expanduser(text.replace(RUN, str(run.path)))  # noqa: PTH111
        if os.path.lexists(path):  # words of any length are no fault here, as they are to Path
            yield Path(path).absolute()


def _texts(content: Any) -> Iterator[str]:
    """Every text in a recipe's content."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping):
        for value in content.values():
            yield from _texts(value)
    elif isinstance(content, Sequence):
        for value in content:
            yield from _texts(value)
