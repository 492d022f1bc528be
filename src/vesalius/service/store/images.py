"""Images: a row that says what a picture is, and a file that holds it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from vesalius.cases.display import Display
from vesalius.cases.picture import Picture
from vesalius.cases.series import SeriesPlace
from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import Refusal
from vesalius.service.store.audit import Entry, append
from vesalius.service.store.database import Conflict
from vesalius.service.store.pictures import read_stored
from vesalius.service.store.records import Image, is_id, new_id
from vesalius.service.store.state import State, not_found
from vesalius.service.store.tables import ImageRow, StudyImageRow, StudyRow

if TYPE_CHECKING:
    from vesalius.cases.reencode import Reencoded

_AT_ONCE = 500


class Images(State):
    """Pictures of owners, kept until they expire or are deleted."""

    def known_image(
        self, owner: str, sha256: str, *, expires_at: datetime, variant: str = ""
    ) -> Image | None:
        """The owner's live image of these uploaded bytes, its expiry renewed; or None.

        Asked before decoding, so that a repeated upload costs nothing. An expiry only ever moves
        back. A row whose time is over, or whose file was lost, becomes a tombstone, and the upload
        starts anew under a new id.
        """
        with self._db.read() as session:
            row = session.scalar(_live(owner, sha256, variant))
        if row is None:
            return None
        path = self._pictures.path(row.id, row.suffix)
        over = row.expires_at <= self._now()
        if over or not self._pictures.exists(path):
            with self._db.write() as session:
                bury(session, [row.id], "expired" if over else "lost", self._now())
            self._discard(path)
            return None
        row.expires_at = max(row.expires_at, expires_at)
        with self._db.write() as session:
            renew = update(ImageRow).where(ImageRow.id == row.id, ImageRow.state == "stored")
            renewed = session.execute(
                renew.values(expires_at=row.expires_at).returning(ImageRow.id)
            )
            return record_of(row) if renewed.scalar() else None

    def add_image(
        self,
        owner: str,
        sha256: str,
        picture: Reencoded,
        *,
        expires_at: datetime,
        variant: str = "",
        quota: int | None = None,
    ) -> tuple[Image, bool]:
        """(image, whether it is new): one image an owner, ``sha256`` and ``variant``.

        The file is written first, so that no row ever speaks of a picture that is not there; if the
        row cannot be written the file is removed. Refusals ``storage_full`` and ``quota_exceeded``,
        where the owner's kept pictures would have more than ``quota`` bytes, leave neither.
        """
        known = self.known_image(owner, sha256, expires_at=expires_at, variant=variant)
        if known is not None:
            return known, False
        row = _row(owner, sha256, variant, picture)
        row.created_at, row.expires_at = self._now(), expires_at
        path = self._pictures.path(row.id, row.suffix)
        self._pictures.write(path, picture.data)
        try:
            with self._db.write() as session:
                _require_room(session, row.owner, row.size, quota)
                session.add(row)
        except Conflict:
            self._discard(path)
            return self.add_image(
                owner, sha256, picture, expires_at=expires_at, variant=variant, quota=quota
            )
        except BaseException:
            self._discard(path)
            raise
        return record_of(row), True

    def require_room(self, owner: str, size: int, quota: int) -> None:
        """Refusal ``quota_exceeded`` where a picture of so many bytes is too many for the owner."""
        with self._db.read() as session:
            _require_room(session, owner, size, quota)

    def image(self, owner: str, image_id: str) -> Image:
        """The owner's image; Refusal ``not_found``, or ``image_expired`` after its retention."""
        with self._db.read() as session:
            return record_of(living(session, owner, image_id, self._now()))

    def images(self, owner: str, ids: Sequence[str]) -> list[Image]:
        """The owner's images, in this order; the first that is not there is a Refusal as above."""
        with self._db.read() as session:
            return [record_of(living(session, owner, one, self._now())) for one in ids]

    def set_text(self, image_id: str, picture: Reencoded) -> None:
        """What was seen of writing in a picture, with its warnings; nothing where it has gone."""
        text = [list(box) for box in picture.text] or None
        with self._db.write() as session:
            changed = update(ImageRow).where(ImageRow.id == image_id)
            session.execute(changed.values(warnings=list(picture.warnings), text=text))

    def replace_image(self, old: Image, new: Image) -> None:
        """Put one picture in another's place in all studies of their owner, in each once."""
        of_old = StudyImageRow.image_id == old.id
        with self._db.write() as session:
            of_new = select(StudyImageRow.study_id).where(StudyImageRow.image_id == new.id)
            twice = StudyImageRow.study_id.in_(session.scalars(of_new).all())
            gone = delete(StudyImageRow).where(of_old, twice).returning(StudyImageRow.study_id)
            both = StudyRow.id.in_(session.scalars(gone).all())
            session.execute(update(StudyRow).where(both).values(repeats=StudyRow.repeats + 1))
            session.execute(update(StudyImageRow).where(of_old).values(image_id=new.id))
            current = update(StudyRow).where(StudyRow.current == old.id)
            session.execute(current.values(current=new.id))

    def living_of(self, ids: Sequence[str]) -> set[str]:
        """Those of these images, whoever's they are, that are still kept."""
        present, now = set[str](), self._now()
        with self._db.read() as session:
            for start in range(0, len(ids), _AT_ONCE):
                named = ImageRow.id.in_(ids[start : start + _AT_ONCE])
                alive = ImageRow.state == "stored", ImageRow.expires_at > now
                present.update(session.scalars(select(ImageRow.id).where(named, *alive)))
        return present

    def read_picture(self, image: Image) -> bytes:
        """The stored bytes; Refusal ``image_expired`` where they went in the meantime."""
        return read_stored(self._pictures.url, self._pictures.path(image.id, image.suffix))

    def reencoded(self, image: Image) -> Reencoded:
        """The stored picture as it was kept, with what is known of it."""
        from vesalius.cases.reencode import Reencoded

        names = (field.name for field in fields(Reencoded) if field.name != "data")
        facts: dict[str, Any] = {name: getattr(image, name) for name in names}
        return Reencoded(self.read_picture(image), **facts)

    def picture(
        self,
        image: Image,
        view: View = OWN_VIEW,
    ) -> Picture:
        """The picture as a dialogue holds it: read lazily, and picklable for a worker process.

        The key is of the content and its owner: one owner's conversations about a picture share
        what was computed of it, and nobody can tell by the time an answer takes whether another
        owner has the same picture.
        """
        salted = hashlib.sha256(f"{len(image.owner)}:{image.owner}:{image.content}".encode())
        path = self._pictures.path(image.id, image.suffix)
        read = partial(read_stored, self._pictures.url, path)
        return Picture(f"sha256:{salted.hexdigest()}", read).at(view)

    def delete_image(self, owner: str, image_id: str) -> None:
        """Remove the file and the row; what was asked about the picture stays, as text.

        The file goes first: if that fails the row is still there, and the call can be repeated.
        """
        with self._db.read() as session:
            row = _owned(session, owner, image_id)
        self._pictures.remove(self._pictures.path(row.id, row.suffix))
        with self._db.write() as session:
            session.execute(delete(ImageRow).where(ImageRow.id == row.id))
        self._db.forget()

    def _discard(self, path: str) -> None:
        with suppress(Refusal):  # the reconciler removes what could not be removed now
            self._pictures.remove(path)


def bury(session: Session, ids: Sequence[str], state: str, now: datetime) -> set[str]:
    """Turn live rows into tombstones, each with an entry in the audit log.

    The ids this call did it to, each once among processes.
    """
    live = update(ImageRow).where(ImageRow.id.in_(ids), ImageRow.state == "stored")
    nothing = dict.fromkeys(("sha256", "content", "place", "display", "text"))
    tombstone = live.values(state=state, **nothing)
    rows = session.execute(tombstone.returning(ImageRow.id, ImageRow.owner)).tuples().all()
    append(session, now, (Entry(f"image.{state}", owner, image_id) for image_id, owner in rows))
    return {image_id for image_id, _ in rows}


def living(session: Session, owner: str, image_id: str, now: datetime) -> ImageRow:
    """The owner's image whose picture is kept; Refusal ``not_found`` or ``image_expired``."""
    row = _owned(session, owner, image_id)
    if row.state != "stored" or row.expires_at <= now:
        raise Refusal(
            "image_expired",
            "this picture is no longer kept; what was said of it still is",
            hint="upload it again to ask about it",
        )
    return row


def _require_room(session: Session, owner: str, size: int, quota: int | None) -> None:
    if quota is None:
        return
    kept = ImageRow.owner == owner, ImageRow.state == "stored"
    used = session.scalar(select(func.coalesce(func.sum(ImageRow.size), 0)).where(*kept)) or 0
    if used + size > quota:
        mib = 2**20
        have = f"your pictures have {used / mib:,.1f} of {quota / mib:,.0f} MiB here already"
        what = f"{have}, and this one needs {size / mib:,.1f}"
        raise Refusal("quota_exceeded", what, hint="delete some, or wait until they expire")


def _live(owner: str, sha256: str, variant: str) -> Select[ImageRow]:
    return select(ImageRow).where(
        ImageRow.owner == owner, ImageRow.sha256 == sha256, ImageRow.variant == variant
    )


def _owned(session: Session, owner: str, image_id: str) -> ImageRow:
    row = session.get(ImageRow, image_id) if is_id("img_", image_id) else None
    if row is None or row.owner != owner:
        raise not_found("image")
    return row


def _row(owner: str, sha256: str, variant: str, picture: Reencoded) -> ImageRow:
    return ImageRow(
        id=new_id("img_"),
        owner=owner,
        sha256=sha256,
        content=hashlib.sha256(picture.data).hexdigest(),
        variant=variant,
        state="stored",
        suffix=picture.suffix,
        size=len(picture.data),
        width=picture.width,
        height=picture.height,
        kind=picture.kind,
        frames=picture.frames,
        modality=picture.modality,
        warnings=list(picture.warnings),
        burned_in=picture.burned_in,
        place=None if picture.place is None else picture.place.to_row(),
        display=None if picture.display is None else picture.display.to_row(),
        text=[list(box) for box in picture.text] or None,
    )


def record_of(row: ImageRow) -> Image:
    """The record of a picture that is kept."""
    assert row.sha256 is not None
    assert row.content is not None
    return Image(
        id=row.id,
        owner=row.owner,
        sha256=row.sha256,
        content=row.content,
        variant=row.variant,
        suffix=row.suffix,
        size=row.size,
        width=row.width,
        height=row.height,
        kind=row.kind,
        frames=row.frames,
        modality=row.modality,
        warnings=tuple(row.warnings),
        burned_in=row.burned_in,
        created_at=row.created_at,
        expires_at=row.expires_at,
        place=None if row.place is None else SeriesPlace.from_row(row.place),
        display=None if row.display is None else Display.from_row(row.display),
        text=tuple((x, y, width, height) for x, y, width, height in row.text or ()),
    )
