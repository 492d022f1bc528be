"""Verdicts of audits: where they are, and how one travels with a run that has seen the data."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vesalius.data.content import whole_digest
from vesalius.data.open import dataset_root
from vesalius.data.survey.verdict import Verdict
from vesalius.errors import DatasetError, VesaliusError
from vesalius.recipe import Data
from vesalius.run import Run
from vesalius.steps.mix import parts
from vesalius.system.cache import cache_folder
from vesalius.system.files import read_json, write_json

FOLDER = "audits"
log = logging.getLogger(__name__)


def place_of(name: str, root: Path | str | None, hub: bool | str | None) -> str:
    """A short name of where a data set lies: what is there may change, and its audit be stale."""
    try:
        folder = None if hub else dataset_root(name, root)
    except DatasetError:  # evaluated where the data are not
        folder = Path(str(root))
    where = f"{name} {hub or (folder and folder.resolve().as_posix())}"
    return hashlib.sha256(where.encode()).hexdigest()[:12]


def store_verdict(verdict: Verdict, place: str) -> Path:
    """Put the verdict where fits and evaluations on this machine find it, and return its path."""
    path = cache_folder() / FOLDER / f"{place}-{whole_digest(verdict.splits)[:16]}.json"
    write_json(path, verdict.to_json())
    return path


def note_verdict(run: Run) -> None:
    """Note in ``status.json`` what an audit says of the run's data, if one is there.

    What was noted stays where none is found: the folder of verdicts may be another machine's by
    now. A verdict on other data takes the place of none on these. Of a mix each set has its own
    (``sets``), None where there is none.
    """
    status, data = run.status(), run.recipe().data
    facts, known = status.get("data", {}), status.get("audit", {})
    if data.mix:
        blocks, before = {part.name: part.data for part in parts(data)}, known.get("sets", {})
        sets = {
            name: _newer(verdict_on(blocks[name], contents), before.get(name))
            for name, contents in facts.get("sets", {}).items()
        }
        note = {"sets": sets} if any(sets.values()) else {}
    else:
        contents = facts.get("contents")
        note = _newer(verdict_on(data, contents) if contents else None, known)
    if note and note != known:
        run.note(audit=note)


def _newer(note: dict[str, Any] | None, known: Any) -> Any:
    """The verdict to note: one on other data takes no place of one on these."""
    stays = note is None or (known and known["current"] and not note["current"])
    return known if stays else note


def verdict_on(data: Data, contents: Mapping[str, Any]) -> dict[str, Any] | None:
    """The newest verdict on these data as a run notes it; None where there is none.

    ``contents``: by split, as :func:`vesalius.data.content.split_digests` has them. ``current``:
    whether the verdict is of the very cases, or else of what lay in the same place.
    """
    stored = list(_stored())
    same = [
        verdict
        for _, verdict in stored
        if all(verdict.splits.get(split) == facts for split, facts in contents.items())
    ]
    place = place_of(data.dataset, data.root, data.hub)
    known = same or [verdict for at, verdict in stored if at == place]
    if not known:
        return None
    newest = max(known, key=lambda verdict: verdict.date)
    return {
        "state": newest.state,
        "headline": newest.headline,
        "date": newest.date,
        "sha256": whole_digest(newest.splits),
        "current": bool(same),
        "faults": [one.rule.title for one in newest.of("fault")],
        "doubts": [one.rule.title for one in newest.of("doubtful")],
    }


def _stored() -> Iterator[tuple[str, Verdict]]:
    """(Place, verdict) of all that are here; one that cannot be read is told of and passed over."""
    for path in sorted((cache_folder() / FOLDER).glob("*-*.json")):
        try:
            yield path.name.partition("-")[0], Verdict.from_json(read_json(path), where=path)
        except VesaliusError as error:
            log.warning("an audit is passed over: %s", error)
