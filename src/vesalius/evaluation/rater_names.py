"""Raters in what is written for others: as hashes, unless they are hashes or judges already."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from vesalius.cases.rating import Rating
from vesalius.evaluation.judging.judgements import RATER

_NO_NAME = re.compile(rf"own_[0-9a-f]{{40}}|{RATER}.*", re.DOTALL)
"""A rater as the service stores one, or a judge."""


def hash_raters(ratings: Sequence[Rating]) -> tuple[list[Rating], dict[str, str]]:
    """The ratings with hashes for what raters called themselves, and the names by hash.

    The salt is drawn anew each time and written nowhere: raters can be told apart within what comes
    of one call, and be found by no guess at their names.
    """
    salt = secrets.token_hex(16)
    names = {one.rater for one in ratings if not _NO_NAME.fullmatch(one.rater)}
    hashes = {name: rater_hash(salt, name) for name in names}
    renamed = [replace(one, rater=hashes.get(one.rater, one.rater)) for one in ratings]
    return renamed, {digest: name for name, digest in hashes.items()}


def rater_hash(salt: str, rater: str) -> str:
    """A rater under a salt, in 16 hexadecimal digits."""
    return sha256(f"{salt}\n{rater}".encode()).hexdigest()[:16]
