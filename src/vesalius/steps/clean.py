"""The models without pictures by which a clean subset is chosen: what they answered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from vesalius.cases.prediction import Prediction
from vesalius.errors import RunError
from vesalius.run import Run, read_predictions
from vesalius.steps.members import needs_image


def blind_answers(
    places: Sequence[Path | str],
) -> tuple[dict[str, list[Prediction]], dict[str, str]]:
    """Each system's answers by its name, and their hashes; a run's unnamed set, or a file's rows.

    RunError for a run whose model looks at pictures, two of one name, or one without answers. Of a
    file nobody knows what answered.
    """
    answers: dict[str, list[Prediction]] = {}
    digests: dict[str, str] = {}
    for place in map(Path, places):
        file = _file_of_blind(place) if place.is_dir() else place
        name = place.resolve().name
        if name in answers:
            raise RunError(f"two systems are called {name!r}", hint="name each of them once")
        answers[name] = list(read_predictions(file))
        digests[name] = hashlib.sha256(file.read_bytes()).hexdigest()
    return answers, digests


def _file_of_blind(place: Path) -> Path:
    """The file of a run's answers; RunError where there are none, or its model needs pictures."""
    run = Run.open(place)
    if needs_image(run):
        what = "looks at pictures: a clean subset is chosen by models that do not"
        raise RunError(what, where=place, hint="for example majority, or text")
    file = run.predictions_file()
    if not file.exists():
        raise RunError("has no predictions", where=place, hint=f"vesalius predict --run {place}")
    return file
