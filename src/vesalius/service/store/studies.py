"""Studies: which of an owner's pictures belong together; what that means, ``chat.studies`` says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from vesalius.errors import Refusal
from vesalius.service.store.images import living, record_of
from vesalius.service.store.records import Study, is_id, new_id
from vesalius.service.store.state import State, not_found
from vesalius.service.store.tables import ImageRow, StudyImageRow, StudyRow

MOST = 200
"""Studies of one owner at a time: each is room for uploads that do not count against its rate."""


class Studies(State):
    """Studies of owners; one goes when the last of its pictures does."""

    def open_study(self, owner: str, files: int, *, expires_at: datetime) -> Study:
        """Room for so many pictures that are to come; Refusal ``quota_exceeded``."""
        with self._db.write() as session:
            return study_of(session, self._new(session, owner, files, expires_at), self._now())

    def set_study(
        self,
        owner: str,
        image_ids: Sequence[str],
        *,
        current: str | None = None,
        study_id: str | None = None,
    ) -> Study:
        """A study of these pictures, or, with ``study_id``, the one whose pictures they are now.

        A picture that is named twice stands in it once, and is counted. Refusals ``not_found`` and
        ``image_expired`` for a picture, ``not_found`` for a study, ``quota_exceeded``.
        """
        distinct = list(dict.fromkeys(image_ids))
        with self._db.write() as session:
            named = [living(session, owner, one, self._now()) for one in distinct]
            expires_at = max(image.expires_at for image in named)
            if study_id is None:
                row = self._new(session, owner, len(image_ids), expires_at)
            else:
                row = _owned(session, owner, study_id, self._now())
                gone = delete(StudyImageRow).where(StudyImageRow.study_id == row.id)
                session.execute(gone)
            row.files, row.repeats = len(image_ids), len(image_ids) - len(distinct)
            row.current, row.expires_at = current, expires_at
            places = enumerate(distinct)
            rows = (StudyImageRow(study_id=row.id, position=at, image_id=one) for at, one in places)
            session.add_all(rows)
            session.flush()
            return study_of(session, row, self._now())

    def study(self, owner: str, study_id: str) -> Study:
        """The owner's study with the pictures that are still kept; Refusal ``not_found``."""
        with self._db.read() as session:
            now = self._now()
            return study_of(session, _owned(session, owner, study_id, now), now)

    def files_of_study(self, owner: str, study_id: str) -> int | None:
        """How many pictures the study has room for; None where the owner has no such study."""
        with self._db.read() as session:
            try:
                return _owned(session, owner, study_id, self._now()).files
            except Refusal:
                return None

    def delete_study(self, owner: str, study_id: str) -> None:
        """Forget that the pictures belong together; they stay."""
        with self._db.write() as session:
            row = _owned(session, owner, study_id, self._now())
            session.execute(delete(StudyRow).where(StudyRow.id == row.id))
        self._db.forget()

    def _new(self, session: Session, owner: str, files: int, expires_at: datetime) -> StudyRow:
        mine = StudyRow.owner == owner, StudyRow.expires_at > self._now()
        if (session.scalar(select(func.count()).where(*mine)) or 0) >= MOST:
            hint = "delete some, or wait until they expire"
            raise Refusal("quota_exceeded", f"you have {MOST} studies here already", hint=hint)
        row = StudyRow(
            id=new_id("std_"),
            owner=owner,
            files=files,
            repeats=0,
            created_at=self._now(),
            expires_at=expires_at,
        )
        session.add(row)
        session.flush()
        return row


def study_of(session: Session, row: StudyRow, now: datetime) -> Study:
    """The record of a study's row, with the pictures that are still kept."""
    belongs = StudyImageRow.study_id == row.id, StudyImageRow.image_id == ImageRow.id
    alive = ImageRow.state == "stored", ImageRow.expires_at > now
    query = select(ImageRow).where(*belongs, *alive).order_by(StudyImageRow.position)
    images = tuple(map(record_of, session.scalars(query)))
    times = row.created_at, row.expires_at
    return Study(row.id, images, row.files, row.repeats, row.current, *times)


def _owned(session: Session, owner: str, study_id: str, now: datetime) -> StudyRow:
    row = session.get(StudyRow, study_id) if is_id("std_", study_id) else None
    if row is None or row.owner != owner or row.expires_at <= now:
        raise not_found("study")
    return row
