"""The tables, as SQLAlchemy models; ``migrations/`` makes them, and a test holds both together."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class Moment(TypeDecorator[datetime]):
    """An aware time in UTC, also where the database (SQLite) keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """To an aware time."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Words(TypeDecorator[str]):
    """Text of a person or a model; what no database takes (NUL, lone surrogates) is replaced."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """To text that can be encoded."""
        if value is None:
            return None
        return value.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


Facts = JSON(none_as_null=True)


class Base(DeclarativeBase):
    """The root of all tables; every constraint has a name, so that a migration can change it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class ImageRow(Base):
    """A picture, or its tombstone: then ``state`` is not stored, and both hashes are gone.

    A hash would let whoever has the picture learn that it was here. NULLs never collide, so the
    same upload after expiry is a new row. ``place`` goes with them.
    """

    __tablename__ = "images"
    __table_args__ = (
        UniqueConstraint("owner", "sha256", "variant"),
        Index(None, "state", "expires_at"),
    )

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    sha256: Mapped[str | None] = mapped_column(Text)
    content: Mapped[str | None] = mapped_column(Text)
    variant: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(Text)
    suffix: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigInteger)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(Text)
    frames: Mapped[int] = mapped_column(Integer)
    modality: Mapped[str | None] = mapped_column(Words)
    warnings: Mapped[list[str]] = mapped_column(Facts)
    burned_in: Mapped[bool | None]
    place: Mapped[dict[str, Any] | None] = mapped_column("series_place", Facts)
    display: Mapped[dict[str, Any] | None] = mapped_column(Facts)
    text: Mapped[list[list[int]] | None] = mapped_column("text_boxes", Facts)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class StudyRow(Base):
    """Pictures that belong together, or room for ``files`` of them that are still to come.

    ``repeats``: how many of the pictures that were named stand in it already.
    """

    __tablename__ = "studies"
    __table_args__ = (Index(None, "owner", "expires_at"), Index(None, "expires_at"))

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    files: Mapped[int] = mapped_column(Integer)
    repeats: Mapped[int] = mapped_column(Integer)
    current: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    expires_at: Mapped[datetime] = mapped_column(Moment)


class StudyImageRow(Base):
    """A picture of a study, at the place where it was named; it goes with either of them."""

    __tablename__ = "study_images"
    __table_args__ = (Index(None, "image_id"),)

    study_id: Mapped[str] = mapped_column(
        ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"))


class ConversationRow(Base):
    """A conversation; ``turns`` is the next position."""

    __tablename__ = "conversations"
    __table_args__ = (Index(None, "owner", "created_at", "id"), Index(None, "updated_at"))

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    owner: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Words)
    turns: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Moment)
    updated_at: Mapped[datetime] = mapped_column(Moment)


class TurnRow(Base):
    """A question with its answer.

    ``image_id`` is no foreign key: the text outlives the picture, and even its row. ``images``
    are all that were shown, in order, where it was more than that one. ``replaced_by``: the answer
    to the question as it was asked again.
    """

    __tablename__ = "turns"
    __table_args__ = (
        UniqueConstraint("conversation_id", "position"),
        Index(None, "image_id"),
        Index(None, "state", "deadline_at"),
    )

    answer_id: Mapped[str] = mapped_column(Text, primary_key=True)
    conversation_id: Mapped[str] = mapped_column(ForeignKey("conversations.id", ondelete="CASCADE"))
    position: Mapped[int] = mapped_column(Integer)
    question: Mapped[str] = mapped_column(Words)
    image_id: Mapped[str | None] = mapped_column(Text)
    images: Mapped[list[str] | None] = mapped_column("image_ids", Facts)
    frame: Mapped[int | None] = mapped_column(Integer)
    window: Mapped[list[float] | None] = mapped_column("view_window", Facts)
    state: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Moment)
    deadline_at: Mapped[datetime] = mapped_column(Moment)
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    answer: Mapped[str | None] = mapped_column(Words)
    content: Mapped[dict[str, Any] | None] = mapped_column(Facts)
    confidence: Mapped[dict[str, Any] | None] = mapped_column(Facts)
    abstained: Mapped[bool]
    scores: Mapped[dict[str, float] | None] = mapped_column(Facts)
    evidence: Mapped[list[dict[str, Any]] | None] = mapped_column(Facts)
    assessment: Mapped[dict[str, Any] | None] = mapped_column(Facts)
    provenance: Mapped[dict[str, Any] | None] = mapped_column(Facts)
    usage: Mapped[dict[str, Any] | None] = mapped_column(Facts)
    timing: Mapped[dict[str, Any] | None] = mapped_column(Facts)
    finish: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)
    replaced_by: Mapped[str | None] = mapped_column(Text)


class FeedbackRow(Base):
    """One opinion an answer; the last one given holds."""

    __tablename__ = "feedback"

    answer_id: Mapped[str] = mapped_column(
        ForeignKey("turns.answer_id", ondelete="CASCADE"), primary_key=True
    )
    verdict: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Words)
    comment: Mapped[str | None] = mapped_column(Words)
    created_at: Mapped[datetime] = mapped_column(Moment)


class Opinion:
    """What somebody thinks of an answer of a run; the last opinion holds."""

    item: Mapped[str] = mapped_column(Text, primary_key=True)
    review: Mapped[str] = mapped_column(Text)
    prediction: Mapped[str] = mapped_column(Text)
    axes: Mapped[dict[str, int]] = mapped_column(Facts)
    errors: Mapped[list[str]] = mapped_column(Facts)
    comment: Mapped[str | None] = mapped_column(Words)
    seconds: Mapped[float | None] = mapped_column(Float)
    created_at: Mapped[datetime] = mapped_column(Moment)


class RatingRow(Opinion, Base):
    """One of each expert."""

    __tablename__ = "ratings"

    rater: Mapped[str] = mapped_column(Text, primary_key=True)


class AdjudicationRow(Opinion, Base):
    """One for an answer: the final word, beside the raters' and never over them."""

    __tablename__ = "adjudications"

    rater: Mapped[str] = mapped_column(Text)


class KeyRow(Base):
    """An API key: the hash of its secret, never the secret."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    name: Mapped[str] = mapped_column(Words)
    owner: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text)
    may_act_for_others: Mapped[bool]
    rate_per_minute: Mapped[int | None] = mapped_column(Integer)
    created_at: Mapped[datetime] = mapped_column(Moment)
    revoked_at: Mapped[datetime | None] = mapped_column(Moment)
    last_used_at: Mapped[datetime | None] = mapped_column(Moment)


class SecretRow(Base):
    """A secret that all processes share; ``owners`` is the salt of owners' hashes."""

    __tablename__ = "secrets"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class AuditRow(Base):
    """An entry of the audit log; triggers forbid to change or remove one."""

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[str] = mapped_column(Text)
    event: Mapped[str] = mapped_column(Text)
    owner_hash: Mapped[str | None] = mapped_column(Text)
    object_hash: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text)


class AuditHead(Base):
    """How many entries there are and the digest of the last; one row, which writers lock."""

    __tablename__ = "audit_head"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    entries: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str] = mapped_column(Text)
