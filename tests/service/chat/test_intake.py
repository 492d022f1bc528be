"""Uploads wait for a decoder and a reader of text no longer than a request may take."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from vesalius.cases.reencode import Reencoded
from vesalius.cases.view import OWN_VIEW
from vesalius.errors import Refusal
from vesalius.service.chat.intake import Intake
from vesalius.service.settings import settings
from vesalius.system.workers import Pool

SLEEP = 0.8
PICTURE = Reencoded(b"", ".png", 4, 3, "png")


@pytest.mark.parametrize(("deadline", "taken"), [(20 * SLEEP, True), (1.5 * SLEEP, False)])
def test_decoding_and_reading_share_one_deadline(
    monkeypatch: pytest.MonkeyPatch, deadline: float, taken: bool
) -> None:
    pytest.importorskip("rapidocr", reason="needs the extra ocr")
    works: list[str] = []

    def slow(pool: Pool, *args: Any) -> Any:
        works.append("reading" if works else "decoding")
        time.sleep(SLEEP)
        return PICTURE if works == ["decoding"] else (PICTURE, ())

    monkeypatch.setattr(Pool, "run", slow)
    intake = Intake(settings(text_in_pictures="flag", deadline=deadline))
    taking = intake.take(b"", "flag", "somebody")
    if taken:
        assert asyncio.run(taking) == (PICTURE, 0)
    else:
        with pytest.raises(Refusal, match="too many pictures are being decoded") as refusal:
            asyncio.run(taking)
        assert refusal.value.code == "worker_busy"
    assert works == ["decoding", "reading"]  # neither alone takes longer than the deadline
    intake.close()


def test_a_view_and_a_report_have_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pool, "run", lambda *_: time.sleep(SLEEP))
    intake = Intake(settings(deadline=SLEEP / 4, text_in_dicom="off"))
    for work in (intake.png(b"", OWN_VIEW, "somebody"), intake.report((b"",), "somebody")):
        with pytest.raises(Refusal) as refusal:
            asyncio.run(work)
        assert refusal.value.code == "worker_busy"
    intake.close()
