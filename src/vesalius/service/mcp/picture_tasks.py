"""Tools that look at one picture: ask, detect and retrieve."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vesalius.errors import RunError
from vesalius.run import Run
from vesalius.service.mcp.folders import Folders
from vesalius.system.worker import report

if TYPE_CHECKING:
    from vesalius.cases.prediction import Neighbour, Prediction
    from vesalius.models import Model


def answer(folders: Folders, *, question: str | None, **subject: Any) -> dict[str, Any]:
    """A run's answer about a picture; ``subject`` as :func:`boxes` has it."""
    prediction, remarks = _prediction(folders, question, **subject)
    row = prediction.to_row()
    return {
        "answer": prediction.text,
        "boxes": _boxes(prediction),
        "concepts": row["answer"].get("concepts"),
        "confidence": row.get("confidence"),
        "abstained": prediction.abstained,
        "finish": prediction.finish,
        "neighbours": _neighbours(prediction.neighbours),
        "remarks": remarks,
    }


def boxes(folders: Folders, **subject: Any) -> dict[str, Any]:
    """What a detector marks in a picture; RunError for a run that marks nothing in any.

    ``subject``: the names of ``run`` and ``picture``, its ``frame`` and ``window``.
    """
    prediction, remarks = _prediction(folders, None, **subject)
    marked = _boxes(prediction)
    if marked is None:
        hint = "name a detector's run, or use ask"
        raise RunError(f"{subject['run']!r} answers without boxes", hint=hint)
    return {
        "boxes": marked,
        "operating_point": prediction.operating_point,
        "remarks": remarks,
    }


def similar(
    folders: Folders, *, run: str, picture: str, k: int | None, others: bool
) -> dict[str, Any]:
    """The training cases most like a picture, without what was said of them."""
    from vesalius.steps.retrieve import retrieve

    opened, image = folders.run(run), folders.place(picture)
    report("searching")
    return {"neighbours": _neighbours(retrieve(opened, image, k, others=others))}


def _prediction(
    folders: Folders,
    question: str | None,
    *,
    run: str,
    picture: str,
    frame: int | None,
    window: Sequence[float] | None,
) -> tuple[Prediction, list[str]]:
    """The answer, and what was done to the picture before it was looked at."""
    from vesalius.cases.picture import Picture
    from vesalius.cases.view import View
    from vesalius.steps.predict import ask

    opened, image = folders.run(run), folders.place(picture)
    view = View(frame, None if window is None else (window[0], window[1]))
    remarks = list(Picture.from_file(image).at(view).decoded().warnings)
    report("loading the model")
    model = _model(opened.path, (opened.path / "status.json").stat().st_mtime_ns)
    report("answering")
    prediction = ask(opened, image, question, frame=frame, window=view.window, model=model)
    return prediction.at_operating_point(), remarks


@lru_cache(maxsize=1)
def _model(path: Path, _changed: int) -> Model:
    """A run's model, which stays for the next question unless the run was changed since."""
    from vesalius.steps.load import load

    return load(Run.open(path))


def _boxes(prediction: Prediction) -> list[dict[str, Any]] | None:
    marked = prediction.answer.boxes
    if marked is None:
        return None
    names = ("label", "x", "y", "width", "height", "score")
    return [{name: getattr(box, name) for name in names} for box in marked]


def _neighbours(cases: Iterable[Neighbour]) -> list[dict[str, Any]]:
    return [{"case": one.case, "similarity": round(one.similarity, 6)} for one in cases]
