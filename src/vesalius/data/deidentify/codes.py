"""What the codes of published schemes mean, by the context groups that pydicom carries (PS3.16)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from pydicom.sr._snomed_dict import mapping
from pydicom.sr.codedict import codes

_OLDER = frozenset(("SRT", "SNM3", "99SDM"))
"""Designators of SNOMED's codes before their numbers (PS3.16 8.1)."""


def meanings(scheme: str, value: str) -> tuple[str, ...]:
    """What a code is called in the standard, most usual first; empty for an unknown one."""
    if scheme in _OLDER and value in mapping["SRT"]:
        scheme, value = "SCT", mapping["SRT"][value]
    return _meanings().get((scheme, value), ())


def is_meaning(scheme: str, value: str, said: str) -> bool:
    """Whether the standard calls the code so, in any case."""
    return said.strip().casefold() in {one.casefold() for one in meanings(scheme, value)}


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Every word that a code's meaning has in small letters: no eponyms, which are names."""
    text = " ".join(one for listed in _meanings().values() for one in listed)
    return frozenset(re.findall(r"\b[a-z]+\b", text))


@lru_cache(maxsize=1)
def _meanings() -> Mapping[tuple[str, str], tuple[str, ...]]:
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for scheme in codes.schemes():
        for code in getattr(codes, scheme).concepts.values():
            known = found.setdefault((scheme, code.value), ())
            if code.meaning not in known:
                found[scheme, code.value] = (*known, code.meaning)
    return found
