"""What the store hands out: frozen records, never database rows. Times are aware and in UTC."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Required, TypedDict

from vesalius.cases.view import View

if TYPE_CHECKING:
    from vesalius.cases.display import Display
    from vesalius.cases.series import SeriesPlace

ImageState = Literal["stored", "expired", "lost", "deleted"]
TurnState = Literal["pending", "done", "failed", "cancelled", "interrupted"]
Verdict = Literal["up", "down"]
_DIGITS = re.compile("[0-9a-f]{40}")


def new_id(prefix: str) -> str:
    """``prefix`` (``img_`` ...) and 160 random bits in lower-case hexadecimal.

    Lower case, because a picture's file is named by its id and some file systems fold case.
    """
    return prefix + secrets.token_hex(20)


def is_id(prefix: str, text: str) -> bool:
    """Whether a text can be an id at all; a database need not be asked for one that cannot."""
    return text.startswith(prefix) and _DIGITS.fullmatch(text, len(prefix)) is not None


@dataclass(frozen=True, slots=True)
class Image:
    """A kept picture: what was learnt of it, never a file name of the uploader's.

    ``sha256`` is of the uploaded bytes, ``content`` of the stored ones; ``size`` counts those.
    ``variant`` tells apart two forms kept of one upload (masked or not).
    """

    id: str
    owner: str
    sha256: str
    content: str
    variant: str
    suffix: str
    size: int
    width: int
    height: int
    kind: str
    frames: int
    modality: str | None
    warnings: tuple[str, ...]
    burned_in: bool | None
    created_at: datetime
    expires_at: datetime
    place: SeriesPlace | None = None
    display: Display | None = None
    text: tuple[tuple[int, int, int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Study:
    """Pictures that belong together, those that are still kept, in the order they were named in.

    ``files``: how many were named, or are to come; ``repeats``: how many of them were one that was
    named before. ``current``: a picture of the examination that its owner says is the current one.
    """

    id: str
    images: tuple[Image, ...]
    files: int
    repeats: int
    current: str | None
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Feedback:
    """What a person thought of an answer: a thumb, a reason, a comment."""

    answer_id: str
    verdict: Verdict
    reason: str | None
    comment: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Turn:
    """A question and, once ``state`` is ``done``, its answer; ``position`` counts from 0.

    ``image_state`` says what became of the picture: ``deleted`` where its id is no longer known,
    None where the question had none. ``images`` are all pictures that were shown, in order, where
    it was more than that one. ``error`` is a code; ``replaced_by`` the answer to the question as it
    was asked again. ``content`` is the whole answer as JSON (text, boxes, concepts; None in turns
    of before), ``answer`` its text; ``evidence`` holds rows of a prediction's evidence, each of the
    kind that its fields tell; ``assessment`` is what is known of the answer's worth.
    """

    answer_id: str
    conversation_id: str
    position: int
    question: str
    image_id: str | None
    image_state: ImageState | None
    view: View
    state: TurnState
    created_at: datetime
    images: tuple[str, ...] = ()
    answer: str | None = None
    content: Mapping[str, Any] | None = None
    confidence: Mapping[str, Any] | None = None
    abstained: bool = False
    scores: Mapping[str, float] | None = None
    evidence: tuple[Mapping[str, Any], ...] | None = None
    assessment: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    usage: Mapping[str, Any] | None = None
    timing: Mapping[str, Any] | None = None
    finish: str | None = None
    error: str | None = None
    replaced_by: str | None = None
    finished_at: datetime | None = None
    feedback: Feedback | None = None


class TurnLinks(TypedDict, total=False):
    """What else a question is tied to.

    ``images``: all pictures that it shows, in order, where they are several. ``replaces``: an
    answer of the conversation whose question is asked again; it goes for those after it, too.
    """

    images: Sequence[str]
    replaces: str | None


class AnswerPayload(TypedDict, total=False):
    """What a finished turn says; only ``answer`` must be given."""

    answer: Required[str]
    content: Mapping[str, Any] | None
    confidence: Mapping[str, Any] | None
    abstained: bool
    scores: Mapping[str, float] | None
    evidence: list[Mapping[str, Any]] | None
    assessment: Mapping[str, Any] | None
    provenance: Mapping[str, Any] | None
    usage: Mapping[str, Any] | None
    timing: Mapping[str, Any] | None
    finish: str | None


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as a list shows it; ``turns`` counts every question asked in it.

    ``image_id``: the picture of its first question, with what became of it and its modality.
    """

    id: str
    title: str
    turns: int
    created_at: datetime
    updated_at: datetime
    image_id: str | None = None
    image_state: ImageState | None = None
    modality: str | None = None


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation with its turns, by position."""

    conversation: Conversation
    turns: tuple[Turn, ...]


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list, newest first; ``next`` is the cursor of the following one, or None."""

    conversations: tuple[Conversation, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Studies:
    """A page of studies, newest first, with the cursor of the following one."""

    studies: tuple[Study, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Uploads:
    """A page of kept pictures, newest first, with the cursor of the following one."""

    images: tuple[Image, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret; ``last_used_at`` is true to the hour.

    ``may_act_for_others``: a trusted front end, which may name the owner it acts for.
    ``rate_per_minute`` None means the service's own limit.
    """

    id: str
    name: str
    owner: str
    may_act_for_others: bool
    rate_per_minute: int | None
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class Verified:
    """What the audit log's check found: ``count`` rows hold up to the one at ``first_bad``."""

    ok: bool
    count: int
    head: str
    first_bad: int | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Due:
    """How many things are past their time, of how many."""

    count: int
    whole: int


@dataclass(frozen=True, slots=True)
class Swept:
    """What a retention sweep did."""

    images: int
    conversations: int
    tombstones: int
    interrupted: int
    studies: int = 0


@dataclass(frozen=True, slots=True)
class Reconciled:
    """What the reconciler found: files removed that no row names, rows marked as lost."""

    files_removed: int
    rows_lost: int
