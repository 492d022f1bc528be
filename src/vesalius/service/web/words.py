"""Numbers, states and errors in a reader's words. Knows nothing of Streamlit or of HTTP."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from vesalius.cases.view import CT_WINDOWS
from vesalius.service.http.answer_schemas import (
    AssessmentOut,
    ConfidenceOut,
    Content,
    TurnOut,
)
from vesalius.service.http.schemas import DISCLAIMER, Window
from vesalius.service.web.api_errors import ApiError

SAME = 0.9999
"""Cosine similarity from which two pictures are called the same: ``combine.guard.SAME``."""
_SURE = ((0.9, "very sure"), (0.7, "fairly sure"), (0.5, "unsure"), (0.0, "very unsure"))
PRESETS = {name: Window(centre=c, width=w) for name, (c, w) in CT_WINDOWS.items()}
"""Usual CT windows in Hounsfield units."""

_NEXT = {
    "unreachable": "It may be starting or stopped. Try again in a moment.",
    "unauthenticated": "Sign in again, or ask whoever runs this page to set its key.",
    "invalid_key": "Ask whoever runs this page to set a valid key.",
    "forbidden": "Ask whoever runs this page for access.",
    "image_expired": "Upload the picture again to ask more about it.",
    "not_found": "It may have been deleted, or belong to someone else.",
    "image_missing": "Upload the picture again.",
    "conversation_busy": "Wait for the answer that is being written, then ask again.",
    "too_many_turns": "Begin a new conversation about this picture.",
    "rate_limited": "Wait a moment, then ask again.",
    "overloaded": "Many questions are waiting. Ask again in a moment.",
    "deadline": "Ask again; a shorter question or picture may help.",
    "engine_unavailable": "Try again in a moment.",
    "not_ready": "The model is being loaded. Try again in a moment.",
    "connection_lost": "Ask again. What was already written is kept.",
    "image_corrupt": "Export it again from where it came, and upload the new copy.",
    "image_truncated": "The file seems cut short. Copy it again and upload the new copy.",
    "body_too_large": "Use a smaller file.",
    "storage_full": "Tell whoever runs this service.",
    "quota_exceeded": "Delete pictures that you no longer need, or wait until they expire.",
    "foreign_answer": "Check that the page is set to the right service, and the same version.",
}
_STATES = {
    "cancelled": "You stopped this answer.",
    "interrupted": "The service was restarted before this answer was finished.",
    "failed": "This question could not be answered.",
}
_ADDRESS = re.compile(r"(?:(?<=:)|^)/|(?:(?<=w)|^)\.|@", re.IGNORECASE)
"""What a bare address cannot do without; at the start of a piece what came before is not known."""
_MARKDOWN = re.compile(r"([!-/:-@\[-`{-~])")


def confidence_label(value: float) -> str:
    """``0.82`` -> ``fairly sure (0.82)``."""
    label = next(word for least, word in _SURE if value >= least)
    return f"{label} ({value:.2f})"


def confidence(score: ConfidenceOut | None, chance: float | None, *, abstained: bool) -> str:
    """How far an answer may be relied on, in a few words.

    ``chance``: measured on the run's own validation; without it a number is no certainty.
    """
    if abstained:
        number = "" if score is None else f" ({score.value:.2f})"
        return f"Not sure{number}: do not rely on this answer"
    if score is None:
        return "No confidence given"
    if chance is None:
        return f"Confidence {score.value:.2f}, not calibrated"
    return confidence_label(chance).capitalize()


def method(score: ConfidenceOut | None, threshold: float | None, basis: str | None = None) -> str:
    """How the number was made, and what it is not."""
    if score is None:
        return "This model says nothing of how sure it is."
    below = "" if threshold is None else f" Below {threshold:.2f} it counts as not sure."
    if basis is None:
        return (
            f"The model's own number, from 0 to 1: {score.method}. It was not compared with right "
            f"and wrong answers, so it does not say how often such one is right.{below}"
        )
    return (
        f"The chance that such an answer is right, {basis}. The model's own number is "
        f"{score.value:.2f}.{below} A likely one can still be wrong."
    )


EMPTY = "The answer is empty: the model wrote nothing."


def unlike(assessment: AssessmentOut) -> str:
    """That a picture is unlike those the model was trained on, and by how much."""
    near, usual = assessment.nearest, assessment.usual or 0.0
    nearest = (
        "no training picture is like it" if near is None else f"the nearest is {near:.0%} alike"
    )
    return (
        f"Unlike anything this was trained on: {nearest}; "
        f"99 of 100 of its validation pictures have one that is at least {usual:.0%} alike."
    )


def likeness(similarity: float) -> str:
    """How alike a similar case's picture is."""
    if similarity >= SAME:
        return "this same picture is in the training set"
    return f"{max(0.0, similarity):.0%} alike"


def error_text(error: ApiError) -> str:
    """An error as one or two sentences: what is wrong, what to do."""
    sentence = error.what[:1].upper() + error.what[1:]
    sentence = sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
    step = _NEXT.get(error.code)
    if error.code in {"rate_limited", "overloaded"} and error.retry_after:
        step = f"Ask again in {error.retry_after:.0f} s."
    return f"{sentence} {step}" if step else sentence


def ended(state: str, code: str | None) -> str:
    """Why a turn has no answer."""
    sentence = _STATES.get(state, "This question has no answer.")
    step = _NEXT.get(code or "", "")
    return f"{sentence} {step}".strip()


def plain(text: str) -> str:
    """Text that Markdown shows as it is: a model's words must not become links, pictures or HTML.

    Every character stands for itself, so pieces of a stream can be made plain one by one. Bare
    addresses become links after escapes are read: a word joiner, which nobody sees, breaks them.
    """
    apart = _ADDRESS.sub("\u2060\\g<0>", text.replace("\t", " "))
    escaped = _MARKDOWN.sub(r"\\\1", apart).replace("  ", "\u00a0 ")
    return escaped.replace("\n", "  \n")


def copy(turn: TurnOut) -> str:
    """An answer as it is pasted elsewhere: never without what it is worth."""
    chance = None if turn.assessment is None else turn.assessment.chance
    worth = confidence(turn.confidence, chance, abstained=turn.abstained)
    return f"{turn.question}\n{turn.answer}\n{worth}. {DISCLAIMER}"


def nothing(content: Content) -> str:
    """That an answer looked for something and found none; empty where it did not look."""
    boxes = "Nothing was marked in the picture." if content.boxes == [] else ""
    concepts = "No concept was named." if content.concepts == [] else ""
    return f"{boxes} {concepts}".strip()


def view(frame: int | None, window: Window | None) -> str:
    """A view of a picture: ``frame 3, lung window``, frames from 1; empty for the file's own."""
    parts = [] if frame is None else [f"frame {frame + 1}"]
    if window is not None:
        named = next((name for name, preset in PRESETS.items() if preset == window), None)
        about = f"centre {window.centre:g}, width {window.width:g}"
        parts.append(f"{named.lower()} window" if named else f"window {about}")
    return ", ".join(parts)


def left(until: datetime, now: datetime | None = None) -> str:
    """Time until then: ``23 h``, ``12 min``; ``no time`` once it has passed."""
    moment = datetime.now(UTC) if now is None else now
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    seconds = (until - moment).total_seconds()
    if seconds <= 0:
        return "no time"
    return f"{seconds / 3600:.0f} h" if seconds >= 5400 else f"{max(1, seconds // 60):.0f} min"


def when(moment: datetime, zone: str | None, now: datetime | None = None) -> str:
    """Today the time, ``14:05``; before that the day, ``24 Nov``; in the reader's time zone."""
    local, today = _local(moment, zone, now)
    return f"{local:%H:%M}" if local.date() == today else f"{local.day} {local:%b}"


def days(moment: datetime, zone: str | None, now: datetime | None = None) -> str:
    """The group of a list that a moment belongs to: ``Today`` ... ``November``, ``May 2025``."""
    local, today = _local(moment, zone, now)
    ago = (today - local.date()).days
    if ago < 2:
        return "Yesterday" if ago == 1 else "Today"
    if ago < 8:
        return "Last 7 days"
    return f"{local:%B}" if local.year == today.year else f"{local:%B %Y}"


def _local(moment: datetime, zone: str | None, now: datetime | None) -> tuple[datetime, date]:
    """A moment in the reader's time zone, and the reader's day."""
    try:
        there = ZoneInfo(zone) if zone else None
    except (ValueError, ZoneInfoNotFoundError):
        there = None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment.astimezone(there), (now or datetime.now(UTC)).astimezone(there).date()


def kind(name: str) -> str:
    """A kind of file as people write it: ``DICOM``, ``PNG``."""
    return "DICOM" if name == "dicom" else name.upper()


def size(count: int) -> str:
    """Bytes: ``20 MB``."""
    return f"{count / 2**20:.0f} MB" if count >= 2**20 else f"{count / 2**10:.0f} kB"
