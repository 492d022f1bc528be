"""What the side lists, as data that the browser draws: pages by cursor, days, small pictures.

Knows nothing of Streamlit. Every conversation that was loaded stays loaded: a run of the page asks
for the first page only, so that 180 rows cost what 20 do.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from io import BytesIO
from itertools import groupby
from typing import Any

from PIL import Image

from vesalius.service.http.answer_schemas import ConversationOut
from vesalius.service.http.schemas import Uploaded
from vesalius.service.http.study_schemas import StudyOut
from vesalius.service.web import series, words
from vesalius.service.web.client import Api

PAGE = 20
SIDE = 96
"""Pixels of a small picture's longer side, for 40 of the page's on a fine screen."""
AT_ONCE = 4
"""Small pictures that are asked for at a time."""
UNTITLED = "Untitled"
NEW = "Not asked about yet"
NEWEST = f"{NEW}: the newest"


@dataclass(slots=True)
class Listing:
    """What one visitor has loaded: conversations that match ``search``, and small pictures."""

    search: str = ""
    rows: list[ConversationOut] = field(default_factory=list)
    uploads: list[Uploaded] = field(default_factory=list)
    studies: list[StudyOut] = field(default_factory=list)
    older: bool = False
    """Whether there are more of these two than are listed."""
    pictures: dict[str, str] = field(default_factory=dict)
    cursor: str | None = None
    loaded: bool = False
    """Whether it is as it was last read, and not what is left from before."""
    _deep: bool = False

    def load(self, api: Api, search: str) -> None:
        """The newest page, over what is loaded already, and uploads without a question."""
        self.loaded = False
        first = api.conversations(limit=PAGE, search=search)
        if search != self.search or first.next is None:
            self.search, self._deep = search, False
        if self._deep:
            self.rows = merged(first.conversations, self.rows)
        else:
            self.rows, self.cursor = first.conversations, first.next
        self.uploads, self.studies, self.older = [], [], False
        if not search:
            uploads, studies = api.new_uploads(limit=PAGE), api.new_studies(limit=PAGE)
            self.uploads, self.studies = uploads.images, studies.studies
            self.older = uploads.next is not None or studies.next is not None
        self.loaded = True

    def load_more(self, api: Api) -> None:
        """The page behind what is loaded."""
        page = api.conversations(limit=PAGE, before=self.cursor, search=self.search)
        self.rows, self.cursor, self._deep = self.rows + page.conversations, page.next, True

    def title(self, row_id: str) -> str:
        """What a row is called."""
        titles = {row.conversation_id: row.title or UNTITLED for row in self.rows}
        titles |= {one.image_id: _name(one) for one in self.uploads}
        titles |= {one.study_id: series.title(one) for one in self.studies}
        return titles.get(row_id, UNTITLED)

    def place(self, kind: str, id: str) -> dict[str, str]:  # noqa: A002
        """What the page's address says of a row."""
        looks = {one.study_id: series.first_look(one) for one in self.studies}
        return {"image": looks.get(id, id)} if kind == "study" else {kind: id}

    def drop(self, row_id: str) -> None:
        """A conversation is no more."""
        self.rows = [row for row in self.rows if row.conversation_id != row_id]

    def rename(self, row_id: str, title: str | None) -> None:
        """A conversation has another title."""
        update = {"title": title}
        self.rows = [
            row.model_copy(update=update) if row.conversation_id == row_id else row
            for row in self.rows
        ]

    def load_pictures(self, api: Api) -> None:
        """Small pictures of what is listed; those of nothing that is listed any more are let go."""
        wanted = list(dict.fromkeys(self._wanted()))
        self.pictures = {one: self.pictures[one] for one in wanted if one in self.pictures}
        missing = [one for one in wanted if one not in self.pictures]
        if missing:
            with ThreadPoolExecutor(AT_ONCE) as threads:
                small = threads.map(lambda one: _small(api, one), missing)
                self.pictures |= {one: url for one, url in zip(missing, small, strict=True) if url}

    def data(self, here: str | None, zone: str | None) -> dict[str, Any]:
        """Groups of rows for ``listing.js``; ``here``: the conversation or picture that is open."""
        new = [_study(one) for one in self.studies] + [_upload(one) for one in self.uploads]
        groups = [{"name": NEWEST if self.older else NEW, "rows": new}] if new else []
        for day, rows in groupby(self.rows, lambda row: words.days(row.created_at, zone)):
            groups.append({"name": day, "rows": [_row(row, zone) for row in rows]})
        more = self.cursor is not None
        study = next((one.study_id for one in self.studies if here in one.image_ids), None)
        return {"groups": groups, "more": more, "search": self.search, "here": [here, study]}

    def _wanted(self) -> Iterable[str]:
        yield from map(series.first_look, self.studies)
        yield from (one.image_id for one in self.uploads)
        yield from (row.image_id or "" for row in self.rows if _has_picture(row))


def _row(row: ConversationOut, zone: str | None) -> dict[str, Any]:
    facts = (row.modality, words.when(row.created_at, zone))
    return {
        "kind": "conversation",
        "id": row.conversation_id,
        "title": row.title or UNTITLED,
        "detail": " · ".join(filter(None, facts)),
        "picture": row.image_id if _has_picture(row) else None,
    }


def _upload(one: Uploaded) -> dict[str, Any]:
    frames = f"{one.frames} frames" if one.frames > 1 else ""
    facts = (frames, f"deleted in {words.left(one.expires_at)}")
    return {
        "kind": "image",
        "id": one.image_id,
        "title": _name(one),
        "detail": " · ".join(filter(None, facts)),
        "picture": one.image_id,
    }


def _study(one: StudyOut) -> dict[str, Any]:
    count = f"{len(one.image_ids)} pictures"
    return {
        "kind": "study",
        "id": one.study_id,
        "title": series.title(one),
        "detail": f"{count} · deleted in {words.left(one.expires_at)}",
        "picture": series.first_look(one),
    }


def _name(one: Uploaded) -> str:
    return " ".join(filter(None, (one.modality, words.kind(one.kind))))


def merged(
    first: Sequence[ConversationOut], loaded: Sequence[ConversationOut]
) -> list[ConversationOut]:
    """The first page as it is now, then what was loaded behind it; what has left it is gone."""
    last = _place(first[-1])
    return [*first, *(row for row in loaded if _place(row) < last)]


def _place(row: ConversationOut) -> tuple[Any, str]:
    """The API's order, oldest first."""
    return row.created_at, row.conversation_id


def _has_picture(row: ConversationOut) -> bool:
    return row.image_id is not None and row.image_state == "kept"


def _small(api: Api, image_id: str) -> str | None:
    """A picture as a small data URL; None where it cannot be had now."""
    png = api.small_image(image_id, SIDE)
    if png is None:
        return None
    out = BytesIO()
    with Image.open(BytesIO(png)) as image:
        image.convert("RGB").save(out, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{b64encode(out.getvalue()).decode()}"
