"""Answers held against the questions that they are to be of: which are missing, which invented."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from vesalius.cases.prediction import Prediction
from vesalius.errors import VesaliusError
from vesalius.evaluation.caveats import as_predicted, of_answers
from vesalius.evaluation.coverage import Coverage
from vesalius.evaluation.evaluate import predictions_sha256
from vesalius.recipe import Data, Recipe
from vesalius.run import Run
from vesalius.steps.prepare import dialogues


def coverage_of(rows: Sequence[Prediction], questions: Path | str) -> Coverage:
    """Answers held against the test questions of a run, a recipe (.yaml) or a data set's name.

    Words are read, no picture is opened. DatasetError, RunError or UnknownName where these are not
    here.
    """
    data = _data_of(questions)
    return _coverage(rows, data, data.splits.test)


def own_coverage(run: Run, rows: Sequence[Prediction], sha256: str) -> Coverage | None:
    """A run's unnamed set against its data; None where it is as predict left it, or they are gone.

    ``sha256`` is the hash of the file of answers.
    """
    status = run.status()
    if as_predicted(status, len(rows), sha256):
        return None
    noted, data = status.get("predictions", {}).get("test", {}), run.recipe().data
    # What was answered before a limit was set stays, and is counted in n.
    limit = max(noted["limit"], noted.get("n", 0)) if "limit" in noted else None
    with suppress(VesaliusError):  # evaluated where the data are not
        return _coverage(rows, data, noted.get("split") or data.splits.test, limit)
    return None


def answer_remarks(
    run: Run | None, rows: Sequence[Prediction], questions: Path | str | None = None
) -> list[str]:
    """What a reader must be told of the answers: not all, others than predict wrote, to nothing.

    Of a run's unnamed set, or of those in a file, which are held against ``questions`` alone.
    """
    if run is None:
        return [] if questions is None else list(coverage_of(rows, questions).sentences())
    digest = predictions_sha256(run)
    held = own_coverage(run, rows, digest)
    return [*of_answers(run.status(), len(rows), digest), *(held.sentences() if held else ())]


def _coverage(
    rows: Sequence[Prediction], data: Data, split: str, limit: int | None = None
) -> Coverage:
    """Answers held against the first ``limit`` questions of a split, by default all."""
    asked = (one.id for one in islice(dialogues(data, split), limit))
    return Coverage.between(f"{data.dataset} ({split})", asked, rows)


def _data_of(questions: Path | str) -> Data:
    place = Path(questions)
    if place.is_dir():
        return Run.open(place).recipe().data
    if place.suffix in (".yaml", ".yml"):
        return Recipe.read(place).data
    return Data(dataset=str(questions))
