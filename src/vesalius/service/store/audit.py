"""The audit log: who did what to what with which outcome, as codes and hashes, in a chain.

Each entry's digest is SHA-256 over its canonical JSON and the digest before it, so that an entry
altered, removed or moved breaks every later one; the head's count and digest show a cut tail. Who
can rewrite the whole database can forge a whole chain: a head noted elsewhere shows that, too.
Nothing is ever removed from it, and no patient data is ever in it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from vesalius.errors import VesaliusError
from vesalius.service.store.records import Verified
from vesalius.service.store.state import State
from vesalius.service.store.tables import AuditHead, AuditRow

GENESIS = "0" * 64
_CODE = re.compile(r"[a-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened (``image.deleted``), to whose thing, to which one, and how it ended.

    ``event`` and ``outcome`` are lower-case codes; of ``owner`` and ``about`` only hashes are kept.
    """

    event: str
    owner: str | None = None
    about: str | None = None
    outcome: str = "ok"


class Audit(State):
    """The log that only grows."""

    def log(
        self,
        event: str,
        *,
        owner: str | None = None,
        about: str | None = None,
        outcome: str = "ok",
    ) -> None:
        """Append an entry."""
        with self._db.write() as session:
            append(session, self._now(), [Entry(event, owner, about, outcome)])

    def verify(self, *, noted: str | None = None) -> Verified:
        """Walk the whole chain, a few rows at a time.

        ``noted`` is a head's digest that was written down earlier, elsewhere: it must still be in
        the chain.
        """
        with self._db.read() as session:
            head = session.scalars(select(AuditHead)).one_or_none()
            if head is None:
                return Verified(False, 0, GENESIS, 1, "the head is gone")
            walked, last, bad = 0, GENESIS, ""
            seen = noted in (None, GENESIS)
            for row in session.scalars(_up_to(head.entries).execution_options(yield_per=500)):
                bad = _fault(row, walked + 1, last)
                if bad:
                    return Verified(False, walked, head.digest, walked + 1, bad)
                walked, last = walked + 1, row.digest
                seen = seen or row.digest == noted
                session.expunge(row)
            if walked < head.entries:
                bad = "the log ends before its head says"
            elif last != head.digest:
                bad = "the head is of another chain"
            elif _beyond(session):
                walked, bad = head.entries, "entries follow that the head does not know"
            if not bad and not seen:
                return Verified(False, walked, head.digest, None, "the noted head is not in it")
            return Verified(not bad, walked, head.digest, walked + 1 if bad else None, bad or None)


def append(session: Session, now: datetime, entries: Iterable[Entry]) -> None:
    """Chain entries to the log; they stand or fall with what else the session writes."""
    at, head = now.astimezone(UTC).isoformat(timespec="microseconds"), None
    for entry in entries:
        if not (_CODE.fullmatch(entry.event) and _CODE.fullmatch(entry.outcome)):
            raise VesaliusError("an audit entry holds codes, not words")
        # Locked until the commit: of several writers one chains at a time.
        head = head or session.scalars(select(AuditHead).with_for_update()).one()
        row = AuditRow(
            seq=head.entries + 1,
            at=at,
            event=entry.event,
            owner_hash=_hashed(entry.owner),
            object_hash=_hashed(entry.about),
            outcome=entry.outcome,
        )
        row.digest = _chained(head.digest, row)
        session.add(row)
        # One step at a time: a trigger forbids to move the head by more than one entry.
        head.entries, head.digest = row.seq, row.digest
        session.flush()


def _up_to(last: int) -> Select[AuditRow]:
    return select(AuditRow).where(AuditRow.seq <= last).order_by(AuditRow.seq)


def _beyond(session: Session) -> int:
    # One statement, so that an entry written meanwhile is seen with its head or not at all.
    head = select(AuditHead.entries).scalar_subquery()
    return session.scalar(select(func.count()).where(AuditRow.seq > head)) or 0


def _fault(row: AuditRow, seq: int, last: str) -> str:
    if row.seq != seq:
        return "an entry is missing"
    return "" if row.digest == _chained(last, row) else "an entry was altered"


def _chained(last: str, row: AuditRow) -> str:
    fields = [row.seq, row.at, row.event, row.owner_hash, row.object_hash, row.outcome, last]
    return hashlib.sha256(json.dumps(fields, separators=(",", ":")).encode()).hexdigest()


def _hashed(name: str | None) -> str | None:
    return None if name is None else hashlib.sha256(name.encode()).hexdigest()[:40]
