"""A run: the folder that holds a recipe, what was fitted from it, and what that predicted."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.recipe import Recipe
from vesalius.settings import ABSENT, validated
from vesalius.system.files import (
    append_lines,
    mend_lines,
    read_json,
    read_lines,
    write_atomic,
    write_json,
)
from vesalius.system.tables import parse_yaml

PACKAGES = """
    vesalius numpy pillow pydicom torch torchvision transformers trl peft accelerate datasets
    bitsandbytes faiss-cpu sacrebleu rouge-score bert-score scipy scikit-learn
"""


CONCEPTS = "concepts.json"
FREQUENT = "frequent_answer.json"
KEYS = 6
"""How many differing keys a message names."""
RANKS = ("RANK", "PMI_RANK", "OMPI_COMM_WORLD_RANK", "MV2_COMM_WORLD_RANK")


def is_main() -> bool:
    """Whether this process writes: the only one, or the first of those a launcher started."""
    return all(os.environ.get(name, "0") == "0" for name in RANKS)


BEGUN = re.compile(
    r"(environment|status)\.json|\.(environment\.json|status\.json|recipe\.yaml)\.\d+"
)
"""Files of a process that was killed before its folder was a run."""


@dataclass(frozen=True, slots=True)
class ConceptFacts:
    """What a run notes of a concept: its name and semantic type, and how often training has it."""

    name: str
    kind: str | None = None
    train: int = 0
    """In how many training dialogues it is."""


@dataclass(frozen=True, slots=True)
class FrequentAnswer:
    """The most frequent answer of a training split: given ``n`` times among ``of``."""

    text: str
    n: int
    of: int

    def __str__(self) -> str:
        return f"{self.n:,} of {self.of:,}"


@dataclass(frozen=True, slots=True)
class Run:
    """A run folder.

    ``recipe.yaml`` the resolved recipe · ``environment.json`` versions and machine ·
    ``status.json`` fitting or fitted, with time and peak memory · ``weights/`` what the entry
    saved · ``log.jsonl`` the learning curve · ``predictions[-NAME].jsonl`` ·
    ``scores[-NAME].json`` · ``index/`` training pictures, for similar cases · ``concepts.json``
    the concepts of its data · ``frequent_answer.json`` what training says most.
    Every file is written whole or not at all; lines are appended.
    """

    path: Path
    followers: tuple[Callable[[Mapping[str, Any]], None], ...] = field(
        default=(), compare=False, repr=False
    )
    """Called with each row of the learning curve, once it is written."""

    @classmethod
    def create(cls, path: Path, recipe: Recipe) -> Run:
        """A new run, or the unfinished one of the same recipe in the same place.

        RunError if the folder holds something else, or a run of another recipe: then it names the
        keys that differ.
        """
        run = cls(path)
        if run._file("recipe.yaml").exists():
            if run.recipe().digest() != recipe.digest():
                raise run._of_another(recipe)
            return run
        there = list(path.iterdir()) if path.exists() else []
        if not all(BEGUN.fullmatch(one.name) for one in there):
            raise RunError("is not empty and not a run", where=path, hint="choose another folder")
        for one in there:
            one.unlink()
        write_json(run._file("environment.json"), environment())
        write_json(run._file("status.json"), {"state": "fitting", "started": _now()})
        write_atomic(run._file("recipe.yaml"), recipe.to_yaml())  # last: it makes the folder a run
        return run

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """An existing run; RunError if the folder is none."""
        run = cls(Path(path))
        if not run._file("recipe.yaml").exists():
            raise RunError(
                "is not a run (no recipe.yaml)", where=path, hint="vesalius fit makes one"
            )
        return run

    def _of_another(self, recipe: Recipe) -> RunError:
        """Which keys of another recipe differ, and how to go on from a fitted run's model."""
        keys = self.recipe().differences(recipe)
        more = f"; and {len(keys) - KEYS} more" if len(keys) > KEYS else ""
        state = "a fitted" if self.fitted else "an unfinished"
        hint = "choose another folder"
        if self.fitted and recipe.model.get("start", ABSENT) is None:
            hint += f"; there, --set model.start={self.path} goes on from this one's weights"
        what = f"holds {state} run of another recipe: {'; '.join(keys[:KEYS])}{more}"
        return RunError(what, where=self.path, hint=hint)

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.resolve().name

    @property
    def weights(self) -> Path:
        """Where the fitted entry keeps its files."""
        return self.path / "weights"

    @property
    def index(self) -> Path:
        """Where the index of similar cases is, if the recipe asked for one."""
        return self.path / "index"

    @property
    def log(self) -> Path:
        """The learning curve: a JSON line per logged step."""
        return self.path / "log.jsonl"

    def record(self, row: Mapping[str, Any]) -> None:
        """Add a row to the learning curve: ``step`` and numbers."""
        append_lines(self.log, [row])
        for follower in self.followers:
            follower(row)

    def concepts(self) -> dict[str, ConceptFacts]:
        """``concepts.json``: the data set's concepts by identifier; empty where it has none."""
        path = self._file(CONCEPTS)
        if not path.exists():
            return {}
        try:
            return {str(name): ConceptFacts(**facts) for name, facts in read_json(path).items()}
        except (AttributeError, TypeError) as error:
            raise RunError(f"not a table of concepts: {error}", where=path) from error

    def note_concepts(self, concepts: Mapping[str, ConceptFacts]) -> None:
        """Write ``concepts.json``."""
        table = {name: asdict(facts) for name, facts in concepts.items()}
        write_json(self._file(CONCEPTS), table)

    def frequent_answer(self) -> FrequentAnswer | None:
        """``frequent_answer.json``; None where no answer was given twice, or none was counted."""
        path = self._file(FREQUENT)
        if not path.exists():
            return None
        try:
            return FrequentAnswer(**read_json(path))
        except TypeError as error:
            raise RunError(f"not a most frequent answer: {error}", where=path) from error

    def note_frequent_answer(self, answer: FrequentAnswer) -> None:
        """Write ``frequent_answer.json``."""
        write_json(self._file(FREQUENT), asdict(answer))

    def recipe(self) -> Recipe:
        """The recipe this run was made from."""
        path = self._file("recipe.yaml")
        try:
            content = parse_yaml(path.read_text(encoding="utf-8"))
        except (OSError, yaml.YAMLError) as error:
            raise RunError("cannot be read", where=path) from error
        return validated(Recipe, content, where=path)

    def status(self) -> dict[str, Any]:
        """What ``status.json`` says: state, times, parameters, peak memory, data hashes."""
        status: dict[str, Any] = read_json(self._file("status.json"))
        return status

    def environment(self) -> dict[str, Any]:
        """Package versions and machine when the run was made."""
        found: dict[str, Any] = read_json(self._file("environment.json"))
        return found

    def note(self, **facts: Any) -> None:
        """Add facts to ``status.json`` (of several processes, the main one does)."""
        if is_main():
            write_json(self._file("status.json"), self.status() | facts)

    def finish(self, **facts: Any) -> None:
        """Mark the run as fitted."""
        self.note(state="fitted", finished=_now(), **facts)

    @property
    def fitted(self) -> bool:
        """Whether fitting was completed."""
        return bool(self.status().get("state") == "fitted")

    def require_fitted(self) -> None:
        """RunError if fitting was not completed."""
        if not self.fitted:
            raise RunError(
                "was not fitted to the end",
                where=self.path,
                hint="vesalius fit with the same recipe and --run goes on",
            )

    def predictions_file(self, name: str = "") -> Path:
        """``predictions.jsonl``, or ``predictions-NAME.jsonl`` for a named set."""
        return self._file(f"predictions-{name}.jsonl" if name else "predictions.jsonl")

    def scores_file(self, name: str = "") -> Path:
        """``scores.json``, or ``scores-NAME.json``."""
        return self._file(f"scores-{name}.json" if name else "scores.json")

    def predictions(self, name: str = "") -> Iterator[Prediction]:
        """The stored predictions, streamed."""
        return read_predictions(self.predictions_file(name))

    def append(self, predictions: list[Prediction], name: str = "") -> None:
        """Add predictions to the named set."""
        append_lines(self.predictions_file(name), (p.to_row() for p in predictions))

    def order_predictions(self, ids: Iterable[str], name: str = "") -> None:
        """Put the rows of the named set, all of which ``ids`` names, into that order."""
        path = self.predictions_file(name)
        with path.open(encoding="utf-8") as file:
            lines = {json.loads(line)["id"]: line for line in file if line.strip()}
        write_atomic(path, "".join(lines[one] for one in ids))

    def note_predictions(self, name: str, **facts: Any) -> None:
        """Record that a set of predictions is complete, and how it was made."""
        made = self.status().get("predictions", {})
        self.note(predictions=made | {name or "test": facts})

    def counts(self, name: str = "") -> dict[str, int]:
        """What was counted of the answers in a complete set (their ``notes``), added up."""
        noted = self.status().get("predictions", {}).get(name or "test", {})
        return dict(noted.get("counts", {}))

    def predicted(self, name: str = "") -> set[str]:
        """The ids already predicted, a half-written last line cut first."""
        path = self.predictions_file(name)
        mend_lines(path)
        return {row["id"] for _, row in read_lines(path)} if path.exists() else set()

    def _file(self, name: str) -> Path:
        return self.path / name


def read_predictions(path: Path) -> Iterator[Prediction]:
    """Predictions from a JSON-lines file of ours or anyone's; RunError names file and line."""
    for number, row in read_lines(path):
        yield Prediction.from_row(row, where=f"{path} line {number}")


def environment() -> dict[str, Any]:
    """Versions of Python, of the packages that matter and of the machine (no host names)."""
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": dict(_versions()),
        "command": " ".join(Path(a).name if i == 0 else a for i, a in enumerate(sys.argv[:2])),
    }


@cache
def _versions() -> dict[str, str]:
    versions = {}
    for package in PACKAGES.split():
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def _now() -> str:
    return datetime.fromtimestamp(time.time(), tz=UTC).isoformat(timespec="seconds")
