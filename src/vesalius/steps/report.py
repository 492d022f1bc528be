"""Report: one page on a run and its baselines, with the pictures that its answers are about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from vesalius.cases.picture import Picture
from vesalius.errors import ImageError
from vesalius.evaluation import report as page
from vesalius.run import Run
from vesalius.steps.claim import check_claims
from vesalius.steps.gain import gain_of
from vesalius.steps.prepare import cases


def report(run: Run, *baselines: Run, out: Path | str | None = None, pictures: bool = True) -> Path:
    """Write one self-contained HTML page on a run and its baselines, and return its path.

    ``out`` is by default ``report.html`` in the run; ``pictures``: whether thumbnails of the cases
    that it shows are embedded. RunError where a run has no predictions or nothing was measured.
    """
    path = run.path / "report.html" if out is None else Path(out)
    find = pictures_of(run) if pictures else _no_picture
    gain, claims = gain_of(run), check_claims(run)
    return page.report([run, *baselines], path, find, gain=gain, claims=claims)


def pictures_of(run: Run) -> Callable[[str], bytes | None]:
    """Encoded pictures by key, from the run's test split, for a report; None for an unknown key."""
    return reading(pictures_by_key(run))


def pictures_by_key(run: Run) -> dict[str, Picture]:
    """The pictures of the run's test split."""
    recipe = run.recipe()
    return {p.key: p for case in cases(recipe.data, recipe.data.splits.test) for p in case.pictures}


def reading(known: Mapping[str, Picture]) -> Callable[[str], bytes | None]:
    """Encoded pictures by key; None for an unknown key."""

    def find(key: str) -> bytes | None:
        picture = known.get(key)
        try:
            return None if picture is None else picture.read()
        except ImageError:
            return None  # a report about pictures that have since gone shows their place empty

    return find


def _no_picture(_: str) -> bytes | None:
    return None
