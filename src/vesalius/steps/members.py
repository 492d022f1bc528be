"""Members of a run that wraps others: where their runs are, and that they are what they were."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vesalius.errors import RecipeError, RunError
from vesalius.models.build import build
from vesalius.recipe import RUN, Recipe, Reference
from vesalius.run import Run
from vesalius.system.files import read_json

FOLDER = "members"


def member_path(path: Path, key: str) -> Path:
    """The folder of a member that is fitted below the wrapper's run at ``path``."""
    return path / FOLDER / key


def referenced(path: Path, reference: Reference, where: object) -> Run:
    """The finished run that a member of the run at ``path`` is; RunError if it is none."""
    folder = Path(reference.run.replace(RUN, path.as_posix()))
    try:
        run = Run.open(folder)
        run.require_fitted()
    except RunError as error:
        what = f"the member is no finished run: {error.where} {error.what}"
        raise RunError(what, where=where, hint=error.hint) from error
    _refuse_cycle(run, path, where)
    return run


def member_run(run: Run, key: str, member: Recipe | Reference) -> Run:
    """The run of a fitted wrapper's member; RunError if it is another than it was fitted with."""
    if isinstance(member, Recipe):
        return Run.open(member_path(run.path, key))
    found = referenced(run.path, member, f"{run.path} members.{key}")
    noted = run.status().get("members", {}).get(key, {}).get("digest")
    if digest(found) != noted:
        hint = "fit the wrapper again in a new --run folder"
        what = f"{found.path} is not the run that this one was fitted with"
        raise RunError(what, where=f"{run.path} members.{key}", hint=hint)
    return found


def member_runs(run: Run) -> dict[str, Run]:
    """The runs of a fitted run's members, by name; none for a model that wraps none."""
    return {key: member_run(run, key, one) for key, one in run.recipe().members().items()}


def needs_image(run: Run) -> bool:
    """Whether a run's model answers about pictures alone, or one that it wraps does."""
    return build(run.recipe().model).needs_image or any(map(needs_image, member_runs(run).values()))


def digest(run: Run) -> str:
    """A hash of a run's recipe and of every file of its weights, its stages' and members' too."""
    files = {
        path.relative_to(run.path).as_posix(): _sha256(path)
        for folder in _weights(run.path)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    others = {
        key: digest(referenced(run.path, one, run.path))
        for key, one in run.recipe().members().items()
        if isinstance(one, Reference)
    }
    content = json.dumps([run.recipe().digest(), files, others], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def note_references(run: Run, references: Mapping[str, Run]) -> None:
    """Note, or hold against what was noted, the digests of the members that are finished runs."""
    noted = run.status().get("members")
    facts: dict[str, Any] = {
        key: {"run": one.path.as_posix(), "digest": digest(one)} for key, one in references.items()
    }
    if noted is not None:
        for key, one in facts.items():
            if noted.get(key, one)["digest"] != one["digest"]:
                hint = "choose another folder"
                what = f"the member {key} is not the run this fit began with"
                raise RunError(what, where=run.path, hint=hint)
    elif facts:
        run.note(members=facts)


def _weights(path: Path) -> Iterator[Path]:
    """Folders of weights in a run and in the runs inside it; folds are only teaching material."""
    yield path / "weights"
    if _answers_by_index(path):
        yield path / "index"
    for inner in sorted([*path.glob("stages/*/recipe.yaml"), *path.glob("members/*/recipe.yaml")]):
        yield from _weights(inner.parent)


def _answers_by_index(path: Path) -> bool:
    """Whether a run's model shows the words of its index: others are only cited beside answers."""
    about = path / "index" / "about.json"
    return about.exists() and bool(read_json(about).get("settings", {}).get("whole"))


def _refuse_cycle(run: Run, path: Path, where: object, seen: tuple[Path, ...] = ()) -> None:
    """RecipeError if following members from a run leads to the run at ``path``, or round."""
    here = run.path.resolve()
    if here == path.resolve() or here in seen:
        raise RecipeError(f"the run is a member of itself, by way of {run.path}", where=where)
    for member in run.recipe().members().values():
        if isinstance(member, Reference):
            folder = Path(member.run.replace(RUN, run.path.as_posix()))
            if (folder / "recipe.yaml").exists():
                _refuse_cycle(Run.open(folder), path, where, (*seen, here))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
