"""Findings, and the one list of their codes: level, meaning and mend, as data."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vesalius.cases.case import Remark
from vesalius.settings import Frozen
from vesalius.system.tables import packaged_table

Level = Literal["error", "warning"]
PLACES = 3
"""How many places a line names; the count is of all."""


class Code(Frozen):
    """What a finding's code says of it wherever it is met."""

    level: Level
    """``error`` stops a use of the case, ``warning`` wants a look."""
    meaning: str
    mend: str
    whole: bool = False
    """Nothing of the data set can be used: it is no case that could be left out."""


@lru_cache(maxsize=1)
def codes() -> Mapping[str, Code]:
    """Every code of a finding, in the order of the guide's table."""
    table = packaged_table(__package__, "findings.yaml")
    return {name: Code.model_validate(row) for name, row in table.items()}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault: ``error`` stops a use of the case, ``warning`` wants a look."""

    level: Level
    code: str
    where: str
    what: str


def finding(code: str, where: str, what: str) -> Finding:
    """A finding at the level that its code has."""
    return Finding(code_of(code).level, code, where, what)


def code_of(name: str) -> Code:
    """What the list says of a code; of one that is not in it, as a decoder's may be, an error."""
    unlisted = Code(level="error", meaning="it cannot be used", mend="see the reason")
    return codes().get(name, unlisted)


class Remarks:
    """Readers' remarks on many cases, those that say the same brought together."""

    def __init__(self) -> None:
        self._places: defaultdict[Remark, list[str]] = defaultdict(list)
        self._counts: Counter[Remark] = Counter()

    def add(self, remarks: Iterable[Remark], where: str) -> None:
        """Note what was remarked of the case at ``where``."""
        for remark in remarks:
            self._counts[remark] += 1
            if len(self._places[remark]) < PLACES:
                self._places[remark].append(where)

    def findings(self) -> Iterator[Finding]:
        """One finding a remark: the first place, and how many cases it is of."""
        for remark, count in self._counts.items():
            first, *others = self._places[remark]
            beside = f"; {count} cases, the next at {', '.join(others)}" if others else ""
            yield finding(remark.code, first, remark.what + beside)


def summary_lines(findings: Sequence[Finding]) -> list[str]:
    """A few lines a code: how often, what it means and how to mend it, and the first places."""
    by_code: defaultdict[tuple[Level, str], list[Finding]] = defaultdict(list)
    for one in findings:
        by_code[one.level, one.code].append(one)
    lines = []
    for (level, code), some in sorted(by_code.items()):
        about = code_of(code)
        lines.append(f"{len(some)} x {level} {code}: {about.meaning}; {about.mend}")
        lines += [f"  {one.where}: {one.what}" for one in some[:PLACES]]
        if len(some) > PLACES:
            lines.append(f"  and {len(some) - PLACES} more")
    return lines
