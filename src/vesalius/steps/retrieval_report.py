"""Retrieval to look at: a sheet of queries with their neighbours, and a sweep over thresholds."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import islice

from jinja2 import Environment, PackageLoader
from PIL import Image

from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.combine.retrieval.sweep import GRID, Sweep, sweep
from vesalius.errors import DatasetError, RecipeError
from vesalius.evaluation.plots import bars, lines
from vesalius.models.feature_cache import with_shared_features
from vesalius.run import Run
from vesalius.steps.prepare import dialogues
from vesalius.steps.retrieve import retriever_of

SIDE, SHEET = 256, 24
"""Pixels of a query's picture on a sheet, and queries of a split that it shows."""


@dataclass(frozen=True, slots=True)
class SheetRow:
    """A query, as a name and a small picture (or none), and its neighbours with theirs."""

    name: str
    picture: str
    neighbours: tuple[tuple[Neighbour, str], ...]


@with_shared_features
def sweep_split(run: Run, split: str | None = None, thresholds: Sequence[float] = ()) -> Sweep:
    """Neighbours per threshold of a split's pictures, by default the validation split's.

    The grid .75 to .95 by .05, the recipe's threshold, and ``thresholds``. As a model is asked:
    never the picture, a near-duplicate of it, or its patient. DatasetError where no dialogue of
    the split shows a picture.
    """
    retriever = retriever_of(run)
    settings = retriever.settings
    every = retriever.replaced(threshold=-1.0, drop=None)
    groups, pictures = _queries(run, _split(run, split))
    near = _guarded(every, groups, pictures)
    grid = {*GRID, settings.threshold, *thresholds}
    return sweep([[one.similarity for one in own] for own in near], settings.neighbours, grid)


def sweep_page(result: Sweep, title: str) -> str:
    """The sweep as a page that needs no other file: two plots and a table."""
    share = [(row.threshold, row.share) for row in result.rows]
    mean = [(row.threshold, row.mean) for row in result.rows]
    histogram = [(f"{bar.low:.2f}", bar.nearest) for bar in result.bars]
    plots = {
        "share": lines([("share", share)], across="threshold", up="share with a neighbour"),
        "mean": lines([("mean", mean)], across="threshold", up="neighbours a query"),
        "histogram": bars(histogram, across="similarity of the nearest", up="queries"),
    }
    return _page("retrieve_sweep.html", title=title, sweep=result, plots=plots)


@with_shared_features
def split_sheet(run: Run, split: str, count: int = SHEET) -> str:
    """A page of the first pictures of a split, each with its neighbours as a model gets them."""
    retriever = retriever_of(run)
    groups, pictures = _queries(run, split, count)
    near = _guarded(retriever, groups, pictures)
    rows = (
        _row(retriever, picture.key, picture, own)
        for picture, own in zip(pictures, near, strict=True)
    )
    return sheet_page(rows, f"{run.name}: {split}")


def query_sheet(
    run: Run, name: str, picture: Picture | None, neighbours: Sequence[Neighbour]
) -> str:
    """A page of one query, a picture or words, with the neighbours that it got."""
    return sheet_page([_row(retriever_of(run), name, picture, neighbours)], run.name)


def sheet_page(rows: Iterable[SheetRow], title: str) -> str:
    """The rows as a page that needs no other file."""
    return _page("retrieve_sheet.html", title=title, rows=list(rows))


def _split(run: Run, split: str | None) -> str:
    chosen = split or run.recipe().data.splits.validation
    if chosen is None:
        hint = "name one with --split"
        raise RecipeError("the recipe has no validation split", where=run.path, hint=hint)
    return chosen


def _guarded(
    retriever: Retriever, groups: Sequence[str], pictures: Sequence[Picture]
) -> list[tuple[Neighbour, ...]]:
    keys = [picture.key for picture in pictures]
    return retriever.neighbours(pictures, exclude_groups=groups, exclude_keys=keys, others=True)


def _queries(run: Run, split: str, count: int | None = None) -> tuple[list[str], list[Picture]]:
    """Groups and pictures of a split's dialogues, each picture once, the first ``count``."""
    named: dict[str, tuple[str, Picture]] = {}
    for group, picture in _grouped_pictures(run, split):
        named.setdefault(picture.key, (group, picture))
        if len(named) == count:
            break
    if not named:
        raise DatasetError(f"no dialogue of {split} shows a picture", where=run.path)
    groups, pictures = zip(*islice(named.values(), count), strict=True)
    return list(groups), list(pictures)


def _grouped_pictures(run: Run, split: str) -> Iterator[tuple[str, Picture]]:
    for dialogue in dialogues(run.recipe().data, split):
        for picture in dialogue.pictures:
            yield dialogue.group, picture


def _row(
    retriever: Retriever, name: str, picture: Picture | None, neighbours: Sequence[Neighbour]
) -> SheetRow:
    beside = tuple(
        (one, _address(retriever.thumbnail(one.picture or ""), "png")) for one in neighbours
    )
    return SheetRow(name, "" if picture is None else _address(_small(picture), "jpeg"), beside)


def _small(picture: Picture) -> bytes:
    image = picture.pixels().copy()
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = BytesIO()
    image.save(file, "JPEG", quality=85)
    return file.getvalue()


def _address(data: bytes | None, kind: str) -> str:
    return "" if data is None else f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _page(name: str, **content: object) -> str:
    style = Environment(loader=PackageLoader("vesalius.evaluation"), autoescape=False)  # noqa: S701
    css = style.get_template("report.css").render()
    pages = Environment(loader=PackageLoader("vesalius.steps"), autoescape=True)
    return pages.get_template(name).render(style=css, **content)
