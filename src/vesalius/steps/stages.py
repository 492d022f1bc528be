"""Stages of a fit: where their runs are, and that none of them has seen the final test split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vesalius.data.audit import Member, audit_members, read_members, shared_with_later
from vesalius.errors import UnknownName
from vesalius.recipe import Data, Recipe, stage_folder
from vesalius.run import Run
from vesalius.steps.prepare import Used

FOLDER = "stages"


@dataclass(frozen=True, slots=True)
class Seen:
    """What a stage's data share with the final test split."""

    counts: dict[str, int] = field(default_factory=dict)
    """Pairs by kind."""
    outside: dict[str, set[str]] = field(default_factory=dict)
    """The ids to leave out of each of the stage's splits."""


def stage_path(path: Path, number: int, name: str) -> Path:
    """The folder of a stage before the last, in the run at ``path``; ``number`` counts from 1."""
    return path / FOLDER / stage_folder(number, name)


def stage_names(run: Run) -> list[str]:
    """The stages before the last that a run has, in order."""
    return list(_folders(run))


def stage_run(run: Run, name: str) -> Run:
    """The run of a stage before the last; UnknownName if there is none of that name."""
    found = _folders(run)
    if name not in found:
        raise UnknownName("stage", name, found, where=run.path)
    return Run.open(found[name])


def seen_before(recipe: Recipe) -> list[Seen]:
    """For each stage what its training and validation data share with the final test split.

    Leakage names the first pairs, unless the final data allow or drop leaks: a model that saw a
    test picture while it was aligned has seen it.
    """
    *earlier, last = (stage.data for stage in recipe.unrolled())
    if not earlier:
        return [Seen()]
    held_out = list(read_members(Used(last), [last.splits.test]))
    pairs = zip(recipe.stages, earlier, strict=False)
    return [*(_shared(f"stage {s.name}", data, last, held_out) for s, data in pairs), Seen()]


def _shared(label: str, data: Data, last: Data, held_out: Sequence[Member]) -> Seen:
    # Groups of two data sets have nothing to do with each other; pictures may.
    alike = (data.dataset, data.root, data.hub) == (last.dataset, last.root, last.hub)
    mark = "" if alike else f"{data.dataset}:"
    splits = [s for s in (data.splits.train, data.splits.validation) if s is not None]
    own = list(read_members(Used(data), splits))
    found = [
        *(replace(m, id=f"{m.split}/{m.id}", group=mark + m.group, split=label) for m in own),
        *held_out,
    ]
    counts = dict(audit_members(found, allow_leaks=last.leaks != "refuse").counts)
    if last.leaks != "drop":
        return Seen(counts)
    leaking = shared_with_later(found, [label, last.splits.test])[label]
    outside = {s: {m.id for m in own if m.split == s and str(m) in leaking} for s in splits}
    return Seen(counts, outside)


def _folders(run: Run) -> dict[str, Path]:
    def number(folder: Path) -> int:
        return int(folder.name.partition("-")[0])

    found: Iterator[Path] = (p.parent for p in (run.path / FOLDER).glob("[0-9]*-*/recipe.yaml"))
    return {folder.name.partition("-")[2]: folder for folder in sorted(found, key=number)}
