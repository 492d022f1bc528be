"""What the side lists: pages by cursor, days, small pictures that go with their rows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO

import pytest

pytest.importorskip("httpx2", reason="the extra serve is not installed")

from PIL import Image

from vesalius.service.http.answer_schemas import ConversationOut, ConversationPage
from vesalius.service.http.schemas import Uploaded, UploadPage
from vesalius.service.http.study_schemas import SeriesOut, StudyOut, StudyPage
from vesalius.service.web.listing import NEW, PAGE, Listing, merged

LAST = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


def conversation(number: int, **fields) -> ConversationOut:
    """Number 0 is the newest; each is an hour older than the one before."""
    at = LAST - timedelta(hours=number)
    known = {"title": f"question {number}", "created_at": at, "updated_at": at, "turns": 1}
    known |= {"image_id": f"img_{number}", "image_state": "kept", "modality": "CT"}
    return ConversationOut(conversation_id=f"cnv_{number:04}", **known | fields)


class FakeApi:
    """An API that holds conversations and counts what is asked of it."""

    def __init__(self, count: int) -> None:
        self.rows = [conversation(number) for number in range(count)]
        self.asked: list[str | None] = []
        self.drawn: list[str] = []
        self.missing: set[str] = set()
        self.held: list[StudyOut] = []
        self.older: str | None = None

    def conversations(
        self, *, limit: int, before: str | None = None, search: str = ""
    ) -> ConversationPage:
        self.asked.append(before)
        rows = [row for row in self.rows if search in row.title]
        start = 0 if before is None else 1 + [row.conversation_id for row in rows].index(before)
        page = rows[start : start + limit]
        more = len(rows) > start + limit
        return ConversationPage(conversations=page, next=page[-1].conversation_id if more else None)

    def new_uploads(self, *, limit: int) -> UploadPage:
        until = datetime.now(UTC) + timedelta(hours=3)
        one = Uploaded(
            image_id="img_new", sha256="0", width=2, height=2, kind="dicom", frames=12,
            modality="CT", warnings=[], expires_at=until,
        )  # fmt: skip
        return UploadPage(images=[one], next=self.older)

    def new_studies(self, *, limit: int) -> StudyPage:
        return StudyPage(studies=self.held, next=None)

    def small_image(self, image_id: str, side: int) -> bytes | None:
        self.drawn.append(image_id)
        out = BytesIO()
        Image.new("L", (side, side // 2), 90).save(out, "PNG")
        return None if image_id in self.missing else out.getvalue()


def ids(listing: Listing) -> list[str]:
    return [row.conversation_id for row in listing.rows]


def test_a_long_list_costs_a_run_of_the_page_one_page() -> None:
    api, listing = FakeApi(180), Listing()
    listing.load(api, "")
    while listing.cursor is not None:
        listing.load_more(api)
    assert ids(listing) == [row.conversation_id for row in api.rows]
    api.asked.clear()
    listing.load(api, "")
    assert api.asked == [None]
    assert (len(listing.rows), listing.cursor) == (180, None)


def test_what_came_and_went_on_the_first_page_comes_and_goes() -> None:
    api, listing = FakeApi(3 * PAGE), Listing()
    listing.load(api, "")
    listing.load_more(api)
    del api.rows[5]
    api.rows.insert(0, conversation(-1))
    listing.load(api, "")
    assert ids(listing) == [row.conversation_id for row in api.rows[: 2 * PAGE]]
    # Where all fits onto one page, nothing that was loaded before stays behind it.
    del api.rows[PAGE:]
    listing.load(api, "")
    assert ids(listing) == [row.conversation_id for row in api.rows]


def test_another_search_begins_anew() -> None:
    api, listing = FakeApi(60), Listing()
    listing.load(api, "")
    listing.load_more(api)
    listing.load(api, "question 1")
    assert ids(listing) == ["cnv_0001", *(f"cnv_{n:04}" for n in range(10, 20))]
    assert listing.uploads == []  # a search is for words, and they have none
    listing.load(api, "")
    assert len(listing.rows) == PAGE


def test_a_deleted_or_renamed_row_far_down_is_so_at_once() -> None:
    api, listing = FakeApi(60), Listing()
    listing.load(api, "")
    listing.load_more(api)
    listing.drop("cnv_0030")
    listing.rename("cnv_0031", "follow-up")
    assert "cnv_0030" not in ids(listing)
    assert listing.title("cnv_0031") == "follow-up"
    assert listing.title("img_new") == "CT DICOM"
    assert listing.title("cnv_nobody") == "Untitled"


def test_small_pictures_are_drawn_once_and_go_with_their_rows() -> None:
    api, listing = FakeApi(3), Listing()
    api.rows[1] = conversation(1, image_state="expired")
    api.missing = {"img_2"}
    for _ in range(2):
        listing.load(api, "")
        listing.load_pictures(api)
    # The one that could not be had is tried again; the expired one is not asked for.
    assert sorted(api.drawn) == ["img_0", "img_2", "img_2", "img_new"]
    groups = listing.data(None, "UTC")["groups"]
    rows = [row for group in groups if group["name"] != NEW for row in group["rows"]]
    assert [row["picture"] for row in rows] == ["img_0", None, "img_2"]
    assert set(listing.pictures) == {"img_0", "img_new"}
    assert listing.pictures["img_0"].startswith("data:image/jpeg;base64,")
    listing.drop("cnv_0000")
    listing.load_pictures(api)
    assert set(listing.pictures) == {"img_new"}


def test_rows_stand_by_day_with_modality_and_time() -> None:
    api, listing = FakeApi(0), Listing()
    ago = [timedelta(0), timedelta(days=1), timedelta(days=3), timedelta(days=800)]
    noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)  # LAST may be old
    api.rows = [conversation(n, created_at=noon - t) for n, t in enumerate(ago)]
    api.rows[0] = conversation(0, created_at=noon, title="", modality=None)
    listing.load(api, "")
    data = listing.data("cnv_0000", "UTC")
    new, *days = data["groups"]
    assert (new["name"], new["rows"][0]["detail"]) == (NEW, "12 frames · deleted in 3 h")
    old = noon - ago[-1]
    names = ["Today", "Yesterday", "Last 7 days", f"{old:%B %Y}"]
    assert [group["name"] for group in days] == names
    row = days[0]["rows"][0]
    assert (row["title"], row["detail"], data["here"]) == (
        "Untitled", "12:00", [row["id"], None],
    )  # fmt: skip
    assert days[1]["rows"][0]["detail"].startswith("CT · ")


def test_a_study_is_one_row_that_opens_in_its_middle() -> None:
    api, listing = FakeApi(0), Listing()
    ids = ["img_a", "img_b", "img_c"]
    until = datetime.now(UTC) + timedelta(hours=5)
    whole = {"image_ids": ids, "modality": "CT", "role": "current", "days": 0, "warnings": []}
    api.held = [
        StudyOut(
            study_id="std_1", files=3, image_ids=ids, series=[SeriesOut(**whole)], warnings=[],
            created_at=LAST, expires_at=until,
        )
    ]  # fmt: skip
    listing.load(api, "")
    listing.load_pictures(api)
    data = listing.data("img_c", "UTC")
    row = data["groups"][0]["rows"][0]
    assert (row["title"], row["detail"]) == ("CT study", "3 pictures · deleted in 5 h")
    assert row["picture"] in listing.pictures
    assert data["here"] == ["img_c", "std_1"]  # whichever of its pictures is open
    assert listing.place("study", "std_1") == {"image": "img_b"}
    assert listing.place("conversation", "cnv_1") == {"conversation": "cnv_1"}


def test_that_there_are_more_without_a_question_is_told() -> None:
    api, listing = FakeApi(1), Listing()
    for older, name in ((None, "Not asked about yet"), ("c", "Not asked about yet: the newest")):
        api.older = older
        listing.load(api, "")
        assert listing.data(None, None)["groups"][0]["name"] == name
    listing.load(api, "no such words")
    assert listing.data(None, None)["groups"] == []


def test_merging_keeps_the_order() -> None:
    rows = [conversation(number) for number in range(6)]
    assert merged(rows[:2], rows[1:4]) == rows[:4]
