"""Uploads as a list: an owner's kept pictures, all or those that nobody has asked about yet."""

from __future__ import annotations

from sqlalchemy import delete, exists, select, tuple_
from sqlalchemy.orm import Session

from vesalius.service.store.conversations import cursor_of, place_of
from vesalius.service.store.images import record_of
from vesalius.service.store.records import Uploads
from vesalius.service.store.state import State
from vesalius.service.store.tables import ConversationRow, ImageRow, StudyRow, TurnRow


class UploadList(State):
    """Pictures of owners, page by page."""

    def uploads(
        self, owner: str, *, asked: bool | None = None, limit: int = 20, before: str | None = None
    ) -> Uploads:
        """The owner's kept pictures, newest first; ``before`` is the last page's ``next``.

        ``asked``: only those that a question was about, or that none was. Refusal
        ``invalid_cursor``.
        """
        newest = select(ImageRow).where(
            ImageRow.owner == owner, ImageRow.state == "stored", ImageRow.expires_at > self._now()
        )
        if before is not None:
            place = tuple_(ImageRow.created_at, ImageRow.id)
            newest = newest.where(place < tuple_(*place_of(before, "img_")))
        order = ImageRow.created_at.desc(), ImageRow.id.desc()
        with self._db.read() as session:
            if asked is not None:
                alone = exists().where(TurnRow.image_id == ImageRow.id)
                about = alone | ImageRow.id.in_(_beside_others(session, owner))
                newest = newest.where(about if asked else ~about)
            rows = session.scalars(newest.order_by(*order).limit(limit + 1)).all()
        page = rows[:limit]
        following = cursor_of(page[-1]) if len(rows) > limit and page else None
        return Uploads(tuple(map(record_of, page)), following)

    def delete_studies(self, owner: str) -> None:
        """Forget all studies of an owner; the pictures stay."""
        with self._db.write() as session:
            session.execute(delete(StudyRow).where(StudyRow.owner == owner))
        self._db.forget()


def _beside_others(session: Session, owner: str) -> list[str]:
    """Pictures of questions about several."""
    lists = select(TurnRow.images).join(ConversationRow).where(ConversationRow.owner == owner)
    rows = session.scalars(lists.where(TurnRow.images.is_not(None)))
    return sorted({image_id for ids in rows for image_id in ids or ()})
