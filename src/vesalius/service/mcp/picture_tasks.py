"""Tools that look at one picture: ask, detect and retrieve."""

from __future__ import annotations

from collections.abc import Iterable
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


def answer(
    folders: Folders,
    *,
    run: str,
    picture: str,
    question: str | None,
    frame: int | None,
) -> dict[str, Any]:
    """A run's answer about a picture."""
    prediction = _prediction(folders, run, picture, question, frame)
    row = prediction.to_row()
    return {
        "answer": prediction.text,
        "boxes": _boxes(prediction),
        "concepts": row["answer"].get("concepts"),
        "confidence": row.get("confidence"),
        "abstained": prediction.abstained,
        "finish": prediction.finish,
        "neighbours": _neighbours(prediction.neighbours),
        "remarks": _remarks(folders, picture, frame),
    }


def boxes(folders: Folders, *, run: str, picture: str, frame: int | None) -> dict[str, Any]:
    """What a detector marks in a picture; RunError for a run that marks nothing in any."""
    prediction = _prediction(folders, run, picture, None, frame)
    marked = _boxes(prediction)
    if marked is None:
        raise RunError(f"{run!r} answers without boxes", hint="name a detector's run, or use ask")
    return {
        "boxes": marked,
        "operating_point": prediction.operating_point,
        "remarks": _remarks(folders, picture, frame),
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
    folders: Folders, run: str, picture: str, question: str | None, frame: int | None
) -> Prediction:
    from vesalius.steps.predict import ask

    opened, image = folders.run(run), folders.place(picture)
    report("loading the model")
    model = _model(opened.path, (opened.path / "status.json").stat().st_mtime_ns)
    report("answering")
    return ask(opened, image, question, frame=frame, model=model).at_operating_point()


@lru_cache(maxsize=1)
def _model(path: Path, _changed: int) -> Model:
    """A run's model, which stays for the next question unless the run was changed since."""
    from vesalius.steps.load import load

    return load(Run.open(path))


def _remarks(folders: Folders, picture: str, frame: int | None) -> list[str]:
    """What was done to a picture before it was looked at."""
    from vesalius.cases.picture import Picture
    from vesalius.cases.view import View

    view = Picture.from_file(folders.place(picture)).at(View(frame, None))
    return list(view.decoded().warnings)


def _boxes(prediction: Prediction) -> list[dict[str, Any]] | None:
    marked = prediction.answer.boxes
    if marked is None:
        return None
    names = ("label", "x", "y", "width", "height", "score")
    return [{name: getattr(box, name) for name in names} for box in marked]


def _neighbours(cases: Iterable[Neighbour]) -> list[dict[str, Any]]:
    return [{"case": one.case, "similarity": round(one.similarity, 6)} for one in cases]
