"""Numbers, states and errors in a reader's words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("httpx2", reason="the extra serve is not installed")

from markdown_it import MarkdownIt

from vesalius.service.http.answer_schemas import AssessmentOut, ConfidenceOut, Content
from vesalius.service.http.problems import TABLE
from vesalius.service.http.schemas import Window
from vesalius.service.web import words
from vesalius.service.web.api_errors import ApiError

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "very sure (1.00)"),
        (0.9, "very sure (0.90)"),
        (0.82, "fairly sure (0.82)"),
        (0.5, "unsure (0.50)"),
        (0.0, "very unsure (0.00)"),
    ],
)
def test_confidence_in_words(value: float, text: str) -> None:
    assert words.confidence_label(value) == text


def test_an_abstained_answer_is_not_to_be_relied_on_however_it_was_measured() -> None:
    sure = ConfidenceOut(method="mean token probability", value=0.95)
    doubt = "Not sure (0.95): do not rely on this answer"
    assert words.confidence(sure, 0.9, abstained=True) == doubt
    assert words.confidence(None, None, abstained=True) == "Not sure: do not rely on this answer"
    assert words.confidence(None, None, abstained=False) == "No confidence given"


def test_a_number_that_nobody_compared_is_no_certainty() -> None:
    sure = ConfidenceOut(method="mean token probability", value=0.98)
    assert words.confidence(sure, None, abstained=False) == "Confidence 0.98, not calibrated"
    assert words.confidence(sure, 0.61, abstained=False) == "Unsure (0.61)"
    assert words.confidence(sure, 0.93, abstained=False) == "Very sure (0.93)"
    assert "does not say how often such one is right" in words.method(sure, None)
    text = words.method(sure, 0.4, "from 400 answers")
    assert text.startswith("The chance that such an answer is right, from 400 answers.")
    assert "The model's own number is 0.98. Below 0.40 it counts as not sure." in text


def test_how_unlike_training_a_picture_is() -> None:
    near = AssessmentOut(nearest=0.31, usual=0.62, unlike=True)
    assert words.unlike(near) == (
        "Unlike anything this was trained on: the nearest is 31% alike; 99 of 100 of its "
        "validation pictures have one that is at least 62% alike."
    )
    assert "no training picture is like it" in words.unlike(AssessmentOut(usual=0.6, unlike=True))


def test_the_method_is_told_with_its_threshold() -> None:
    text = words.method(ConfidenceOut(method="mean token probability", value=0.5), 0.6)
    assert "mean token probability" in text
    assert "Below 0.60" in text
    assert "Below" not in words.method(ConfidenceOut(method="m", value=0.5), None)
    assert "nothing" in words.method(None, 0.6)


def test_the_same_picture_is_called_so() -> None:
    assert words.likeness(1.0) == "this same picture is in the training set"
    assert words.likeness(0.9) == "90% alike"
    assert words.likeness(-0.2) == "0% alike"


def test_an_error_says_what_and_what_next() -> None:
    assert words.error_text(ApiError("image_expired", "the picture's time has passed")) == (
        "The picture's time has passed. Upload the picture again to ask more about it."
    )
    busy = ApiError("overloaded", "32 questions wait", retry_after=7.0)
    assert words.error_text(busy) == "32 questions wait. Ask again in 7 s."
    assert words.error_text(ApiError("new_code", "something else!")) == "Something else!"


def test_advice_is_given_for_codes_that_exist() -> None:
    ours = {"unreachable", "connection_lost", "foreign_answer"}
    assert set(words._NEXT) - ours <= set(TABLE)


@pytest.mark.parametrize(
    "text",
    [
        "![x](http://elsewhere.example/a.png)",
        "[click](javascript:alert(1)) <img src=x onerror=alert(1)>",
        "# Title\n- one\n1. two\n> three\n```code```",
        "a_b *c* ~d~ `e` $f$ :red[g] :material/home: | h | http://i.example k@l.example",
        "    indented\n\tand a tab",
        "see http://i.example/x?d=1, HTTPS://i.example, www.i.example or a@i.example",
    ],
)
def test_a_models_words_are_shown_as_they_are(text: str) -> None:
    assert not re.search(r"://|www\\?\.|[\w.+-]\\?@", words.plain(text), re.IGNORECASE)
    html = MarkdownIt("gfm-like", {"linkify": False}).render(words.plain(text))
    assert not set("<>") & set(html.replace("<p>", "").replace("</p>", "").replace("<br />", ""))
    assert all(
        mark in words.plain(text) for mark in ("\\" + c for c in set(text) & set("[]<>$:_*"))
    )


def test_pieces_made_plain_one_by_one_are_the_whole_made_plain() -> None:
    text = "**bold** [l](u) $x$ <b>:red[y]"
    assert "".join(map(words.plain, text)) == words.plain(text)


def test_a_view_is_named() -> None:
    assert words.view(None, None) == ""
    assert words.view(3, words.PRESETS["Lung"]) == "frame 4, lung window"
    assert words.view(None, Window(centre=10, width=20)) == "window centre 10, width 20"


@pytest.mark.parametrize(
    ("ahead", "text"),
    [
        (timedelta(hours=23, minutes=40), "24 h"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(seconds=5), "1 min"),
        (timedelta(seconds=-1), "no time"),
    ],
)
def test_time_left(ahead: timedelta, text: str) -> None:
    assert words.left(NOW + ahead, NOW) == text
    assert words.left((NOW + ahead).replace(tzinfo=None), NOW) == text


def test_moments_are_told_in_the_readers_time() -> None:
    assert words.when(NOW, "Europe/Zurich", NOW) == "13:00"
    assert words.when(NOW - timedelta(days=5), "Europe/Zurich", NOW) == "24 Feb"
    assert words.when(NOW.replace(tzinfo=None), "no/such zone", NOW)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (Content(), ""),
        (Content(boxes=[]), "Nothing was marked in the picture."),
        (
            Content(boxes=[], concepts=[]),
            "Nothing was marked in the picture. No concept was named.",
        ),
        (Content(concepts=["C1"]), ""),
    ],
)
def test_none_and_nothing_are_told_apart(content: Content, text: str) -> None:
    assert words.nothing(content) == text


def test_sizes() -> None:
    assert (words.size(20 * 2**20), words.size(2048)) == ("20 MB", "2 kB")
