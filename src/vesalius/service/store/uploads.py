"""Uploads as a list: an owner's pictures and studies, all or those that nobody has asked about."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, exists, select, tuple_
from sqlalchemy.orm import Session

from vesalius.service.store.conversations import cursor_of, place_of
from vesalius.service.store.images import record_of
from vesalius.service.store.records import Studies, Uploads
from vesalius.service.store.state import State
from vesalius.service.store.studies import study_of
from vesalius.service.store.tables import (
    ConversationRow,
    ImageRow,
    StudyImageRow,
    StudyRow,
    TurnRow,
)


class UploadList(State):
    """Pictures of owners, page by page."""

    def uploads(
        self,
        owner: str,
        *,
        asked: bool | None = None,
        alone: bool | None = None,
        limit: int = 20,
        before: str | None = None,
    ) -> Uploads:
        """The owner's kept pictures, newest first; ``before`` is the last page's ``next``.

        ``asked``: only those that a question was about, or that none was; ``alone``: only those of
        no study, or of one. Refusal ``invalid_cursor``.
        """
        now = self._now()
        newest = select(ImageRow).where(
            ImageRow.owner == owner, ImageRow.state == "stored", ImageRow.expires_at > now
        )
        if before is not None:
            place = tuple_(ImageRow.created_at, ImageRow.id)
            newest = newest.where(place < tuple_(*place_of(before, "img_")))
        order = ImageRow.created_at.desc(), ImageRow.id.desc()
        with self._db.read() as session:
            if asked is not None:
                about = _has_question(session, owner)
                newest = newest.where(about if asked else ~about)
            if alone is not None:
                study = exists().where(
                    StudyImageRow.image_id == ImageRow.id,
                    StudyImageRow.study_id == StudyRow.id,
                    StudyRow.expires_at > now,
                )
                newest = newest.where(~study if alone else study)
            rows = session.scalars(newest.order_by(*order).limit(limit + 1)).all()
        page = rows[:limit]
        following = cursor_of(page[-1]) if len(rows) > limit and page else None
        return Uploads(tuple(map(record_of, page)), following)

    def studies(
        self, owner: str, *, asked: bool | None = None, limit: int = 20, before: str | None = None
    ) -> Studies:
        """The owner's studies of which pictures are kept, newest first; as ``uploads``.

        ``asked``: only those with a picture that a question was about, or with none such.
        """
        now = self._now()
        own = StudyRow.owner == owner, StudyRow.expires_at > now
        newest = select(StudyRow).where(*own)
        if before is not None:
            place = tuple_(StudyRow.created_at, StudyRow.id)
            newest = newest.where(place < tuple_(*place_of(before, "std_")))
        order = StudyRow.created_at.desc(), StudyRow.id.desc()
        images = exists().where(
            StudyImageRow.study_id == StudyRow.id,
            StudyImageRow.image_id == ImageRow.id,
            ImageRow.state == "stored",
            ImageRow.expires_at > now,
        )
        with self._db.read() as session:
            newest = newest.where(images)
            if asked is not None:
                about = images.where(_has_question(session, owner))
                newest = newest.where(about if asked else ~about)
            rows = session.scalars(newest.order_by(*order).limit(limit + 1)).all()
            page = rows[:limit]
            records = tuple(study_of(session, row, now) for row in page)
        return Studies(records, cursor_of(page[-1]) if len(rows) > limit and page else None)

    def study_ids(self, owner: str, image_ids: Sequence[str]) -> dict[str, str]:
        """By image, the newest of the owner's studies that it stands in, if any."""
        query = select(StudyImageRow.image_id, StudyRow.id).join(StudyRow)
        query = query.where(StudyRow.owner == owner, StudyRow.expires_at > self._now())
        query = query.where(StudyImageRow.image_id.in_(list(image_ids)))
        with self._db.read() as session:
            rows = session.execute(query.order_by(StudyRow.created_at)).tuples().all()
        return dict(rows)

    def delete_studies(self, owner: str) -> None:
        """Forget all studies of an owner; the pictures stay."""
        with self._db.write() as session:
            session.execute(delete(StudyRow).where(StudyRow.owner == owner))
        self._db.forget()


def _has_question(session: Session, owner: str) -> ColumnElement[bool]:
    """Whether a question is about an image, alone or beside others."""
    first = exists().where(TurnRow.image_id == ImageRow.id)
    return first | ImageRow.id.in_(_beside_others(session, owner))


def _beside_others(session: Session, owner: str) -> list[str]:
    """Pictures of questions about several."""
    lists = select(TurnRow.images).join(ConversationRow).where(ConversationRow.owner == owner)
    rows = session.scalars(lists.where(TurnRow.images.is_not(None)))
    return sorted({image_id for ids in rows for image_id in ids or ()})
