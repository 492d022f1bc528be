"""What goes when its time is over, and what a crash left behind.

Both jobs may run in several processes at once: each row is claimed by the one whose statement
changes it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, func, select, true
from sqlalchemy.orm import Session

from vesalius.errors import Refusal
from vesalius.service.store.audit import Entry, append
from vesalius.service.store.images import bury
from vesalius.service.store.pictures import SHARDS, image_of
from vesalius.service.store.records import Due, Reconciled, Swept
from vesalius.service.store.state import State
from vesalius.service.store.tables import ConversationRow, ImageRow, StudyRow, TurnRow
from vesalius.service.store.turns import interrupt

BATCH = 50  # rows a transaction: it holds the audit log meanwhile, which others write to
_MANY = 10


class Retention(State):
    """The jobs that keep the store no larger than it promised."""

    def sweep(
        self, now: datetime | None = None, *, text_for: timedelta = timedelta(days=30)
    ) -> Swept:
        """Remove pictures and studies past their expiry, text ``text_for`` after its last question.

        An expired picture leaves a tombstone, which goes with the last text that names it. Turns
        past their deadline are marked as interrupted.
        """
        now = now or self._now()
        images = conversations = tombstones = 0
        while count := self._expire(now):
            images += count
        while count := self._delete_texts(now - text_for):
            conversations += count
        while count := self._delete_tombstones(now - text_for):
            tombstones += count
        with self._db.write() as session:
            over = delete(StudyRow).where(StudyRow.expires_at <= now)
            studies = len(session.scalars(over.returning(StudyRow.id)).all())
            interrupted = interrupt(session, now)
        if conversations or tombstones or studies:
            self._db.forget()
        return Swept(images, conversations, tombstones, interrupted, studies)

    def due(
        self, now: datetime | None = None, *, text_for: timedelta = timedelta(days=30)
    ) -> tuple[Due, Due]:
        """How many pictures and conversations :meth:`sweep` would remove, of how many."""
        now = now or self._now()
        stored = ImageRow.state == "stored"
        with self._db.read() as session:
            images = _counted(session, stored, ImageRow.expires_at <= now)
            texts = _counted(session, true(), ConversationRow.updated_at < now - text_for)
        return images, texts

    def reconcile(
        self, now: datetime | None = None, *, grace: timedelta = timedelta(minutes=1)
    ) -> Reconciled:
        """Remove pictures that no row names, and mark rows whose picture is gone.

        Whatever is younger than ``grace`` is left alone: its upload may be under way. Files that
        are not named as the store names them are never touched. Refusal ``storage_unavailable``
        where many pictures are gone and none is left: a place that is not mounted, not a loss.
        """
        before = (now or self._now()) - grace
        removed, seen, lost = 0, 0, set[str]()
        for name in SHARDS:
            # Rows, then files, then rows again: what comes or goes meanwhile is in none of the two
            # differences, and no more than one sub-folder is in memory.
            with self._db.read() as session:
                old = _live_files(session, name, before)
            files = self._pictures.shard(name)
            removed += self._remove_strays(name, {f for f, at in files.items() if at < before})
            seen, lost = seen + len(files), lost | (old - set(files))
        if not seen and len(lost) >= _MANY:
            raise Refusal(
                "storage_unavailable",
                f"not one of {len(lost)} pictures is in its place, so none was marked as lost",
                hint="is the folder or the bucket of pictures the right one, and mounted?",
            )
        return Reconciled(removed, self._mark_lost(lost))

    def _expire(self, now: datetime) -> int:
        over = ImageRow.state == "stored", ImageRow.expires_at <= now
        with self._db.write() as session:
            # Locked, and locked ones skipped: an expiry renewed by an upload is seen, or waits.
            due = select(ImageRow.id, ImageRow.suffix).where(*over).limit(BATCH)
            files = dict(session.execute(due.with_for_update(skip_locked=True)).tuples().all())
            expired = bury(session, list(files), "expired", self._now())
        # Rows first: nobody is promised a picture that is going. A death here leaves strays.
        for image_id in expired:
            self._pictures.remove(self._pictures.path(image_id, files[image_id]))
        return len(expired)

    def _delete_texts(self, before: datetime) -> int:
        old = select(ConversationRow.id, ConversationRow.owner).limit(BATCH)
        old = old.where(ConversationRow.updated_at < before).with_for_update(skip_locked=True)
        with self._db.write() as session:
            due = dict(session.execute(old).tuples().all())
            session.execute(delete(ConversationRow).where(ConversationRow.id.in_(due)))
            entries = (Entry("conversation.expired", who, name) for name, who in due.items())
            append(session, self._now(), entries)
        return len(due)

    def _delete_tombstones(self, before: datetime) -> int:
        named = exists().where(TurnRow.image_id == ImageRow.id)
        old = ImageRow.state != "stored", ImageRow.expires_at < before, ~named
        with self._db.write() as session:
            due = select(ImageRow.id).where(*old).limit(BATCH).with_for_update(skip_locked=True)
            ids = session.scalars(due).all()
            session.execute(delete(ImageRow).where(ImageRow.id.in_(ids)))
        return len(ids)

    def _remove_strays(self, name: str, old: set[str]) -> int:
        if not old:
            return 0
        with self._db.read() as session:
            strays = old - _live_files(session, name)
        for file in strays:
            self._pictures.remove(f"{name}/{file}")
        return len(strays)

    def _mark_lost(self, files: set[str]) -> int:
        ids, marked = sorted(map(image_of, files)), 0
        for start in range(0, len(ids), BATCH):
            with self._db.write() as session:
                marked += len(bury(session, ids[start : start + BATCH], "lost", self._now()))
        return marked


def _counted(session: Session, of: ColumnElement[bool], over: ColumnElement[bool]) -> Due:
    count = select(func.count(), func.count().filter(over)).where(of)
    whole, due = session.execute(count).one()
    return Due(due, whole)


def _live_files(session: Session, name: str, before: datetime | None = None) -> set[str]:
    """The file names of the live images in a sub-folder, made before a time if given."""
    live = select(ImageRow.id, ImageRow.suffix).where(
        ImageRow.state == "stored", ImageRow.id.startswith(f"img_{name}", autoescape=True)
    )
    if before is not None:
        live = live.where(ImageRow.created_at < before)
    return {image_id + suffix for image_id, suffix in session.execute(live)}
