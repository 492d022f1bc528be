"""What stands in the place of an identity: keyed, so that only the key's owner can match them."""

from __future__ import annotations

import hmac
import os
import re
import secrets
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from pydicom._uid_dict import UID_dictionary

from vesalius.errors import VesaliusError
from vesalius.system.places import linked

VARIABLE = "VESALIUS_DEIDENTIFY_KEY"
LEAST = 16
"""The fewest bytes of a key: a shorter one could be guessed, and with it every pseudonym."""
FURTHEST = 3650
"""Dates move back by 1 to so many days."""
_DATE = re.compile(r"(\d{4})\.?(\d{2})\.?(\d{2})")
_DATETIME = re.compile(r"(\d{4})(\d{2})(\d{2})((?:\d{2}){0,3}(?:\.\d{1,6})?(?:[+-]\d{4})?)")
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """HMAC-SHA256 of identities under a secret key; the same identity always gets the same one."""

    key: bytes = field(repr=False)

    def digest(self, kind: str, identity: str) -> bytes:
        """32 bytes for ``identity``; ``kind`` keeps the same text in two places apart."""
        return hmac.digest(
            self.key, f"{kind}\0{identity}".encode("utf-8", "surrogateescape"), "sha256"
        )

    def uid(self, original: str) -> str:
        """A UID below 2.25 (PS3.5 B.2) of 122 pseudo-random bits."""
        # The bits of a UUID of version 4 are set, so that it is one.
        value = int.from_bytes(self.digest("uid", original)[:16], "big")
        value = value & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62
        return f"2.25.{value}"

    def patient(self, patient: str) -> str:
        """A patient's number, ``V-`` and 16 hexadecimal digits."""
        return f"V-{self.digest('patient', patient).hex()[:16].upper()}"

    def days(self, patient: str) -> int:
        """By how many days a patient's dates move: -1 to -3650."""
        return -1 - int.from_bytes(self.digest("days", patient)[:8], "big") % FURTHEST

    def name(self, kind: str, identity: str) -> str:
        """32 hexadecimal digits, for manifests."""
        return self.digest(kind, identity).hex()[:32]


def is_well_known(uid: str) -> bool:
    """Whether the standard gives this UID a meaning, so that it names no instance."""
    return uid in UID_dictionary


def is_uid(text: str) -> bool:
    """Whether the text has the form of a UID, of at most 64 characters."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def shifted(representation: str, value: str, days: int) -> str:
    """A DA or DT value moved by whole days, a TM as it is; empty where it is none or too coarse."""
    if representation == "TM":
        return value if re.fullmatch(r"\d{2}(:?\d{2}){0,2}(\.\d{1,6})?", value) else ""
    form = _DATE if representation == "DA" else _DATETIME
    match = form.fullmatch(value)
    if match is None:
        return ""
    year, month, day, *rest = match.groups()
    try:
        moved = date(int(year), int(month), int(day)) + timedelta(days)
    except (ValueError, OverflowError):
        return ""
    return moved.strftime("%Y%m%d").rjust(8, "0") + "".join(rest)


def read_key(file: Path | None, default: Path) -> tuple[bytes, Path | None]:
    """The key and where it lies: ``file``, the environment variable, or ``default``.

    A file that does not exist is made, readable by its owner alone. Raises VesaliusError.
    """
    variable = os.environ.get(VARIABLE, "")
    if file is None and variable:
        return _long_enough(variable.encode(), VARIABLE), None
    path = file or default
    if not path.exists():
        _make(path)
    try:
        content = path.read_bytes().strip()
    except OSError as error:
        raise VesaliusError(f"the key cannot be read: {error.strerror}", where=path) from error
    return _long_enough(content, path), path


def _make(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        try:
            opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(opened, "w") as file:
                file.write(secrets.token_hex(32) + "\n")
                file.flush()
                os.fsync(file.fileno())
            linked(part, path)  # whole, or that which another worker made
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise VesaliusError(f"the key cannot be made: {error.strerror}", where=path) from error


def _long_enough(key: bytes, where: object) -> bytes:
    if len(key) < LEAST:
        hint = f"at least {LEAST} bytes; without the file, a random one is made"
        raise VesaliusError("the key is too short", where=where, hint=hint)
    return key
