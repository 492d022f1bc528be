"""Judges of the field's cases that have files: each looks at what came out, not only at how it ended.

A judge raises Wrong with what it saw in the place of what is right, or returns what it saw.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from vesalius.cases.image import decode
from vesalius.cases.reencode import reencode
from vesalius.errors import ImageError

TABLES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")
BASE64 = re.compile(r"[A-Za-z0-9+/]{160,}={0,2}")


class Wrong(Exception):
    """What was seen, where it is not what is right."""


@dataclass(frozen=True)
class Bench:
    """Where the cases lie, and a new folder for what comes out."""

    data: Path
    work: Path

    def vesalius(self, *words: str | Path) -> tuple[int, str]:
        """Exit code and everything said; never a traceback, never base64."""
        own = {"COLUMNS": "400", "VESALIUS_CACHE": str(self.work / "cache")}
        done = subprocess.run(
            [sys.executable, "-m", "vesalius", *map(str, words)],
            capture_output=True,
            text=True,
            errors="replace",
            cwd=self.data,
            env=os.environ | own,
            timeout=600,
            check=False,
        )
        said = done.stdout + done.stderr
        need("Traceback" not in said, "a traceback")
        need(not BASE64.search(said), "base64 in a message")
        return done.returncode, said

    def new(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.work)) / "new"


Case = Mapping[str, Any]
Judge = Callable[[Bench, Case], str]


def need(holds: object, seen: str) -> None:
    if not holds:
        raise Wrong(seen)


def has(said: str, *patterns: str) -> None:
    for pattern in patterns:
        need(re.search(pattern, said, re.IGNORECASE), f"no word of {pattern!r}: {last(said)}")


def last(said: str) -> str:
    return next((line for line in reversed(said.splitlines()) if line.strip()), "")[:200]


def fresh(bench: Bench) -> Path:
    folder = bench.new()
    folder.mkdir()
    return folder


def table_of(folder: Path) -> Path:
    """The one table of a case's folder, or the folder, if it has none."""
    tables = [path for path in folder.iterdir() if path.suffix in TABLES]
    return tables[0] if len(tables) == 1 else folder


def refused(*patterns: str) -> Judge:
    """``data import``: exit 2, nothing written, and the message has all patterns."""

    def judge(bench: Bench, case: Case) -> str:
        new = bench.new()
        code, said = bench.vesalius("data", "import", table_of(bench.data / case["inputs"][0]), new)
        need(code == 2, f"exit {code}: {last(said)}")
        need(not new.exists(), "refused, and yet written")
        has(said, *patterns)
        return f"exit 2: {last(said)}"

    return judge


def read(cases: int, words: Callable[[int], str], *patterns: str) -> Judge:
    """``data import``: exit 0, so many cases, each with its own words and the bytes of its picture.

    ``words`` are those of the picture that is the n-th by name; the output has all patterns.
    """

    def judge(bench: Bench, case: Case) -> str:
        folder, new = bench.data / case["inputs"][0], bench.new()
        code, said = bench.vesalius("data", "import", table_of(folder), new)
        need(code == 0, f"exit {code}: {last(said)}")
        has(said, *patterns)
        got = Counter((picture(new, row), words_of(row)) for row in rows_of(new))
        own = [sha256(data).hexdigest() for data in pictures_of(folder)]
        right = Counter((name, words(at)) for at, name in enumerate(own))
        need(len(own) == cases, f"{len(own)} pictures in the case, {cases} expected")
        need(got == right, f"{sum(got.values())} cases, not those of the file: {sorted(got)[:2]}")
        return f"{cases} cases; {last(said)}"

    return judge


def rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.glob("*.jsonl")):
        if path.name != "fingerprints.jsonl":
            yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def words_of(row: Mapping[str, Any]) -> str:
    """All that a written row says, on one line."""
    asked = [f"{q['question']} {'/'.join(q['answers'])}" for q in row.get("questions", ())]
    boxes = [f"{b['label']} {[round(n, 1) for n in b['bbox']]}" for b in row.get("boxes", ())]
    return " | ".join([*filter(None, [row.get("caption")]), *asked, *boxes])


def picture(folder: Path, row: Mapping[str, Any]) -> str:
    name = row.get("image") or row.get("images", [None])[0]
    return sha256((folder / name).read_bytes()).hexdigest() if name else ""


def pictures_of(folder: Path) -> list[bytes]:
    """A case's pictures in their own order: files, cells of a parquet table, or data URLs."""
    files = [p for p in folder.rglob("*") if p.suffix.lower() in (".png", ".jpg")]
    if files:
        return [p.read_bytes() for p in sorted(files, key=lambda p: (p.parent, number(p)))]
    path = table_of(folder)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        return [row["images"][0]["bytes"] for row in pq.read_table(path).to_pylist()]
    import base64

    lines = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [base64.b64decode(row["image"].split(",", 1)[1]) for row in lines]


def number(path: Path) -> tuple[int, str]:
    return int(path.stem) if path.stem.isdigit() else -1, path.name


def checked(reader: str, where: str, *patterns: str) -> Judge:
    """``data check``: exit 0, and all patterns in what it says."""

    def judge(bench: Bench, _: Case) -> str:
        code, said = bench.vesalius("data", "check", reader, "--root", bench.data / where)
        need(code == 0, f"exit {code}: {last(said)}")
        has(said, *patterns)
        return last(said)

    return judge


def near_duplicates(*pairs: tuple[str, str]) -> Judge:
    """``data audit``: exit 2, and exactly these pairs between the splits."""

    def judge(bench: Bench, case: Case) -> str:
        root = bench.data / case["inputs"][0]
        code, said = bench.vesalius("data", "audit", "folder", "--root", root)
        need(code == 2, f"exit {code}: {last(said)}")
        lines = [line for line in said.splitlines() if line.startswith("near_duplicate")]
        found = {tuple(sorted(re.findall(r"\b[ab]\d\b", line))[:2]) for line in lines}
        need(found == set(pairs) and len(lines) == len(pairs), f"pairs {lines}")
        return last(said)

    return judge


def boxes_of_slake(bench: Bench, _: Case) -> str:
    from vesalius import open_dataset

    data = open_dataset("slake", root=bench.data / "layouts/L04_slake")
    cases = [case for split in data.splits() for case in data.cases(split)]
    names = sorted(case.id for case in cases)
    need(names == ["xmlab0", "xmlab1", "xmlab2"], f"cases {names}")
    for case in cases:
        boxes = [(b.label, b.x, b.y, b.width, b.height) for b in case.boxes or ()]
        need(boxes == [("Liver", 10.0, 10.0, 8.0, 8.0)], f"{case.id}: boxes {boxes}")
    return "three cases, a box each"


# DICOM shown


def stored(path: Path) -> Any:
    return pydicom.dcmread(path, force=True).pixel_array.astype(np.float64)


def shown(path: Path) -> tuple[Any, tuple[str, ...]]:
    made = decode(path.read_bytes())
    return np.asarray(made.image.convert("L"), dtype=np.float64), made.warnings


def shades(right: Callable[[Any], Any], warns: str = "", within: float = 1.5) -> Judge:
    """Each pixel has the shade that ``right`` makes of the stored values (NaN: any shade)."""

    def judge(bench: Bench, case: Case) -> str:
        path = bench.data / case["inputs"][0]
        made, told = shown(path)
        wanted = right(stored(path))
        far = float(np.nanmax(np.abs(made - wanted)))
        need(far <= within, f"{far:.0f} shades off; {len(np.unique(made))} shades")
        need(len(np.unique(wanted[~np.isnan(wanted)])) > 1, "the case shows one shade")
        has(" ".join(told), *([warns] if warns else []))
        return f"at most {far:.1f} shades off; {'; '.join(told) or 'no warning'}"

    return judge


def line(low: float, high: float) -> Callable[[Any], Any]:
    """Black at ``low``, white at ``high``."""
    return lambda values: np.clip((values - low) / (high - low), 0, 1) * 255


def percentiles(first: float | None = None, end: float | None = None) -> Callable[[Any], Any]:
    """The 0.5th to 99.5th percentile of what is no padding (``first`` to ``end``)."""

    def right(values: Any) -> Any:
        rest = np.ones(values.shape, bool)
        if first is not None:
            rest = (values < first) | (values > end)
        low, high = np.percentile(values[rest], [0.5, 99.5])
        return np.where(rest, line(low, high)(values), np.nan)

    return right


def through_table(values: Any) -> Any:
    """A ramp of 256 stored values, stretched."""
    return line(values.min(), values.max())(values)


def unreadable(*patterns: str) -> Judge:
    """``decode`` and an upload refuse in the same words, which have all patterns."""

    def judge(bench: Bench, case: Case) -> str:
        data = (bench.data / case["inputs"][0]).read_bytes()
        reasons = []
        for read in (decode, reencode):
            try:
                read(data)
            except ImageError as error:
                reasons.append(str(error))
            else:
                raise Wrong(f"{read.__name__} shows it")
        need(len(set(reasons)) == 1, f"two reasons: {reasons}")
        has(reasons[0], *patterns)
        need("cannot be decoded" not in reasons[0], reasons[0])
        return reasons[0]

    return judge
