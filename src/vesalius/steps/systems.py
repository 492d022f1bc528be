"""Systems: runs and files of predictions as rows to compare, with members and their consensus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vesalius.cases.case import Question
from vesalius.cases.prediction import Prediction
from vesalius.combine.consensus import agreed
from vesalius.errors import RunError
from vesalius.evaluation.member_answers import rivals
from vesalius.evaluation.table import System
from vesalius.recipe import RUN, Reference
from vesalius.run import Run, read_predictions
from vesalius.steps.members import member_path

CONSENSUS = "consensus"


def systems(path: Path, *, members: bool = False, name: str | None = None) -> Iterator[System]:
    """A run's or a file's predictions as a system; with ``members``, each of those before it.

    Members are read from the combination's own rows, and with two or more their ``consensus`` is
    computed anew. RunError where there are no predictions.
    """
    run = Run.open(path) if path.is_dir() else None
    label = name or (path.stem if run is None else run.name)
    rows = list(read_predictions(path) if run is None else run.predictions())
    if not rows:
        raise RunError("has no predictions", where=path)
    remarks = () if run is None else remarks_of(run)
    if members:
        own, others = rivals(rows)
        for member, answers in with_consensus(own).items():
            yield System(f"{label}/{member}", answers, remarks)
        remarks = (*remarks, *map(no_rival, others))
    yield System(label, rows, remarks)


def no_rival(member: str) -> str:
    """What is said of a member that answers with something else than the combination."""
    return f"its member {member} answers with something else and is not scored beside it"


def with_consensus(
    members: Mapping[str, Sequence[Prediction]],
) -> dict[str, Sequence[Prediction]]:
    """The members, and where there are two or more what they agree on most.

    A member that is itself called ``consensus`` keeps its name and place.
    """
    if len(members) < 2 or CONSENSUS in members:
        return dict(members)
    return {**members, CONSENSUS: consensus(list(members.values()))}


def consensus(members: Sequence[Sequence[Prediction]]) -> list[Prediction]:
    """What members' answers to the same rows agree on most, by the rule of ``consensus``."""
    rows = []
    for answers in zip(*members, strict=True):
        first = answers[0]
        asked = Question(
            first.question, kind=first.kind, options=first.options, language=first.language
        )
        best, confidence = agreed(asked, answers)
        silent = all(one.abstained for one in answers)
        rows.append(replace(best, confidence=confidence, abstained=silent))
    return rows


def remarks_of(run: Run) -> tuple[str, ...]:
    """What a number of this run must not be read without: random weights, drawn pictures."""
    recipe = run.recipe()
    random = any(one.status().get("weights") == "random" for one in (run, *_inner(run)))
    drawn = recipe.data.dataset == "phantom" or recipe.data.drawn
    marks = {"random weights": random, "drawn pictures": drawn}
    return tuple(mark for mark, holds in marks.items() if holds)


def _inner(run: Run) -> Iterator[Run]:
    """A run's members at any depth, fitted below it or finished elsewhere, that are still there."""
    for key, member in run.recipe().members().items():
        path = member_path(run.path, key)
        if isinstance(member, Reference):
            path = Path(member.run.replace(RUN, run.path.as_posix()))
        if (path / "status.json").is_file():
            yield Run(path)
            yield from _inner(Run(path))
