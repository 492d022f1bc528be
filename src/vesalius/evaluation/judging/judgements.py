"""Judgements in a run's folder: whose they are, and a line for each answer or pair of answers.

``judgements/NAME.json`` is the judge's identity, ``NAME.jsonl`` the lines, which are ratings with
what led to them, and ``NAME.experts.json`` what experts' ratings say of the judge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from vesalius.cases.rating import Rating
from vesalius.errors import RunError
from vesalius.run import Run
from vesalius.system.files import append_lines, mend_lines, read_json, read_lines, write_json

FOLDER = "judgements"
RATER = "judge:"
"""Before a judge's label, where a rating names its rater."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
BOTH_ORDERS = ("run", "against")
"""Who stands first when a pair is judged; each pair is judged under both."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's rating of one answer, with its own answer before it and what it replied.

    ``unmeasured``: why there is no grade (the rating then has no axes); None where there is one.
    ``weight``: the errors' weights by level, added up; None where the rubric has no levels.
    """

    rating: Rating
    own: str = ""
    reply: str = ""
    unmeasured: str | None = None
    weight: float | None = None

    @property
    def id(self) -> str:
        """The answer's id in the run."""
        return self.rating.prediction

    def to_row(self) -> dict[str, Any]:
        """A rating's row, the rest in its field ``judgement``."""
        rest = {"own": self.own, "reply": self.reply}
        rest |= {"unmeasured": self.unmeasured, "weight": self.weight}  # type: ignore[dict-item]
        return self.rating.to_row() | {"judgement": rest}

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, where: object = None) -> Judgement:
        """A judgement from :meth:`to_row`'s data; RunError names a wrong field."""
        try:
            return cls(Rating.from_row(row, where=where), **row["judgement"])
        except (KeyError, TypeError) as error:
            raise RunError(f"not a judgement: {error}", where=where) from error


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two runs' answers a judge prefers, under both orders.

    ``verdicts``: ``run``, ``against`` or ``tie``, with the run's answer first and then with the
    other's; None where a reply could not be read, with the reason in ``unmeasured``.
    """

    id: str
    own: str
    verdicts: tuple[str | None, str | None]
    replies: tuple[str, str] = ("", "")
    unmeasured: str | None = None

    @property
    def winner(self) -> str | None:
        """Who is preferred under both orders; a tie where the order decides, None unmeasured."""
        first, second = self.verdicts
        if first is None or second is None:
            return None
        return first if first == second else "tie"

    @property
    def position(self) -> str | None:
        """``first`` or ``second`` where the judge prefers that place whoever stands in it."""
        first, second = self.verdicts
        if {first, second} != set(BOTH_ORDERS):
            return None
        return "first" if first == "run" else "second"

    def to_row(self) -> dict[str, Any]:
        """The preference as JSON-ready data."""
        return {
            "id": self.id,
            "own": self.own,
            "verdicts": list(self.verdicts),
            "replies": list(self.replies),
            "unmeasured": self.unmeasured,
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, where: object = None) -> Preference:
        """A preference from :meth:`to_row`'s data; RunError names a wrong field."""
        try:
            fields = {**row, "verdicts": tuple(row["verdicts"]), "replies": tuple(row["replies"])}
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise RunError(f"not a preference: {error}", where=where) from error


@dataclass(frozen=True, slots=True)
class Judgements:
    """One judge's judgements of a run, under a name of their own."""

    run: Run
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name.endswith(".experts"):
            hint = "letters, digits, . _ and -"
            raise RunError(f"judgements cannot be called {self.name!r}", hint=hint)

    @classmethod
    def of(cls, run: Run) -> list[Judgements]:
        """All of a run, by name."""
        names = (path.stem for path in (run.path / FOLDER).glob("*.json"))
        return [cls(run, name) for name in sorted(names) if not name.endswith(".experts")]

    @property
    def file(self) -> Path:
        """The lines."""
        return self.run.path / FOLDER / f"{self.name}.jsonl"

    @property
    def experts_file(self) -> Path:
        """What experts' ratings say of the judge."""
        return self.run.path / FOLDER / f"{self.name}.experts.json"

    @property
    def identity(self) -> dict[str, Any]:
        """Who judges, by what rubric, under which words, and which answers."""
        facts: dict[str, Any] = read_json(self._identity_file)
        return facts

    @property
    def paired(self) -> bool:
        """Whether two runs' answers were judged against each other."""
        return self.identity.get("against") is not None

    @property
    def _identity_file(self) -> Path:
        return self.run.path / FOLDER / f"{self.name}.json"

    def begin(self, identity: Mapping[str, Any]) -> set[str]:
        """The ids judged already, after the identity is written; RunError if it was another one."""
        if not self._identity_file.exists():
            write_json(self._identity_file, dict(identity))
        there = self.identity
        if other := sorted(k for k in {*there, *identity} if there.get(k) != identity.get(k)):
            what = f"the judgements {self.name!r} differ in {', '.join(other)}"
            raise RunError(what, where=self.run.path, hint="choose another --name")
        mend_lines(self.file)
        return {row["id"] for _, row in read_lines(self.file)} if self.file.exists() else set()

    def append(self, rows: Iterable[Judgement | Preference]) -> None:
        """Add lines, all of them in one write."""
        append_lines(self.file, (one.to_row() for one in rows))

    def judgements(self) -> Iterator[Judgement]:
        """The lines of single answers; RunError names file and line."""
        for number, row in self._lines():
            yield Judgement.from_row(row, where=f"{self.file} line {number}")

    def preferences(self) -> Iterator[Preference]:
        """The lines of pairs; RunError names file and line."""
        for number, row in self._lines():
            yield Preference.from_row(row, where=f"{self.file} line {number}")

    def digest(self) -> str:
        """A hash of the lines."""
        return sha256(self.file.read_bytes()).hexdigest() if self.file.exists() else ""

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        return read_lines(self.file) if self.file.exists() else iter(())
