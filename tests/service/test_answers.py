"""An answer travels whole: from a prediction's row through the store to API, stream and exports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from typing import Any

import pytest
from serving import Serving, events, serving

from vesalius.cases.prediction import Prediction
from vesalius.service.chat.assessment import assessed, judged
from vesalius.steps.calibrate import Calibration

BOX = {"x": 4.0, "y": 3.0, "width": 20.0, "height": 10.5, "label": "nodule <b>1</b>", "score": 0.9}
OUTLINE = {"x": 1.0, "y": 1.0, "width": 5.0, "height": 5.0, "label": "heart"}
OUTLINE["polygon"] = [[1.0, 1.0], [6.0, 1.0], [3.0, 6.0]]
MARKED = {
    "id": "1",
    "question": "where is it?",
    "answer": {"text": "on the left", "boxes": [BOX, OUTLINE], "concepts": ["C0028259 nodule"]},
    "scores": {"left": 0.75, "right": 0.25},
    "evidence": [
        {"case": "c1", "similarity": 0.9, "text": "a nodule"},
        {
            "member": "near",
            "answer": {"text": "right", "boxes": [BOX]},
            "confidence": {"value": 0.5, "method": "votes"},
        },
        {"member": "probe", "answer": {"text": "left"}, "abstained": True},
        {"judge": "rules", "text": "two of three agree", "score": 0.66},
    ],
}
DETECTED = {"id": "2", "question": "find nodules", "answer": {"boxes": []}}


EMPTY = {
    "id": "3",
    "question": "anything?",
    "answer": "",
    "confidence": {"value": 0.9, "method": "m"},
}
WORTH = Calibration("m", 400, 0.6, 1.0, -3.0, 0.3, usual=0.95, pictures=200)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("saved")
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (MARKED, DETECTED, EMPTY)))
    with serving(folder / "state", replay=str(path), rate_per_minute=100_000) as running:
        yield running


def whole(answer: dict[str, Any]) -> None:
    """That an answer of the wire says all that the prediction said."""
    boxes = [{k: v for k, v in box.items() if v is not None} for box in answer["boxes"]]
    assert boxes == MARKED["answer"]["boxes"]
    assert answer["concepts"] == ["C0028259 nodule"]
    assert answer["scores"] == {"left": 0.75, "right": 0.25}
    assert [near["case"] for near in answer["neighbours"]] == ["c1"]
    near, probe = answer["members"]
    assert (near["member"], near["answer"], near["abstained"]) == ("near", "right", False)
    assert near["confidence"] == {"method": "votes", "value": 0.5}
    assert near["boxes"][0]["label"] == BOX["label"]
    assert (probe["answer"], probe["abstained"], probe["boxes"]) == ("left", True, None)
    assert answer["reasons"] == [{"judge": "rules", "text": "two of three agree", "score": 0.66}]


def test_an_answer_says_all_that_was_predicted(saved: Serving) -> None:
    answer = saved.ask(image_id=saved.image_id(), question="where is it?").json()
    assert answer["answer"] == "on the left"
    whole(answer)
    (turn,) = saved.client.get(f"/conversations/{answer['conversation_id']}").json()["messages"]
    whole(turn)


def test_the_last_event_of_a_stream_is_the_whole_answer(saved: Serving) -> None:
    streamed = saved.ask(image_id=saved.image_id(), question="where is it?", stream=True)
    name, data = events(streamed.text)[-1]
    assert name == "done"
    whole(json.loads(data))


def test_none_found_is_not_the_same_as_not_looked_for(saved: Serving) -> None:
    answer = saved.ask(image_id=saved.image_id(), question="find nodules").json()
    assert (answer["answer"], answer["boxes"], answer["concepts"]) == ("", [], None)
    other = saved.ask(image_id=saved.image_id(), question="something else").json()
    assert (other["boxes"], other["scores"], other["members"]) == (None, None, [])


def test_exports_hold_the_whole_answer(saved: Serving) -> None:
    image_id = saved.image_id()
    first = saved.ask(image_id=image_id, question="where is it?").json()
    own = {"image_id": image_id, "conversation_id": first["conversation_id"]}
    assert saved.ask(question="find nodules", **own).status_code == 200
    url = f"/conversations/{first['conversation_id']}/export"
    whole(saved.client.get(url).json()["messages"][0])
    page = saved.client.get(url, params={"format": "html"}).text
    assert '<rect x="4.0" y="3.0" width="20.0" height="10.5"' in page
    assert '<polygon points="1.0,1.0 6.0,1.0 3.0,6.0"' in page
    assert "nodule &lt;b&gt;1&lt;/b&gt;" in page
    assert "<b>1</b>" not in page
    for words in ("C0028259 nodule", "two of three agree", "probe", "Nothing was marked"):
        assert words in page
    assert page.count("data:image/png;base64,") == 1  # once, though two turns are about it


def test_the_schema_names_every_field(api: Serving) -> None:
    schemas = api.client.get("/openapi.json").json()["components"]["schemas"]
    for name in ("AnswerOut", "TurnOut"):
        fields = schemas[name]["properties"]
        assert {"boxes", "concepts", "scores", "neighbours", "members", "reasons"} <= set(fields)
    assert {"x", "y", "width", "height", "label", "score"} <= set(schemas["BoxOut"]["properties"])


def test_without_a_calibration_nothing_is_claimed_of_a_number(saved: Serving) -> None:
    answer = saved.ask(image_id=saved.image_id(), question="anything?").json()
    assert answer["assessment"] is None
    assert (answer["abstained"], answer["confidence"]["value"]) == (False, 0.9)
    assert saved.client.get("/version").json()["policy"]["calibrated"] is None


def test_an_empty_answer_says_so_and_one_that_found_nothing_does_not(saved: Serving) -> None:
    image_id = saved.image_id()
    asked = {
        q: saved.ask(image_id=image_id, question=q).json() for q in ("anything?", "find nodules")
    }
    assert [answer["empty"] for answer in asked.values()] == [True, False]
    whole = saved.client.get(f"/conversations/{asked['anything?']['conversation_id']}")
    assert whole.json()["messages"][0]["empty"] is True
    page = saved.client.get(
        f"/conversations/{asked['anything?']['conversation_id']}/export?format=html"
    )
    assert "The answer is empty" in page.text


def test_a_calibrated_run_says_a_chance_and_abstains_below_a_half(
    saved: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(saved.service.asker, "calibration", WORTH)
    monkeypatch.setattr(saved.service, "calibration", WORTH)
    answer = saved.ask(image_id=saved.image_id(), question="anything?").json()
    # logit(.9) = 2.197; sigmoid(2.197 - 3) = .3094: more likely wrong than right
    assert answer["assessment"]["chance"] == pytest.approx(0.3094, abs=1e-4)
    assert "400 answers" in answer["assessment"]["basis"]
    assert answer["abstained"] is True
    # no training picture stands beside it, and usually one is at least .95 alike
    worth = answer["assessment"]
    assert (worth["unlike"], worth["nearest"], worth["usual"]) == (True, None, 0.95)
    stored = saved.client.get(f"/conversations/{answer['conversation_id']}").json()["messages"][0]
    assert stored["assessment"] == worth
    page = saved.client.get(f"/conversations/{answer['conversation_id']}/export?format=html").text
    assert "Unlike anything this was trained on" in page
    assert "right with a chance of 0.31" in page
    policy = saved.client.get("/version").json()["policy"]
    assert policy["abstain_below"] == pytest.approx(0.9526, abs=1e-4)  # sigmoid(3)
    assert "400 answers" in policy["calibrated"]
    # its nearest case is .9 alike: less than usual, too
    marked = saved.ask(image_id=saved.image_id(), question="where is it?").json()["assessment"]
    assert (marked["unlike"], marked["nearest"], marked["chance"]) == (True, 0.9, None)


def test_a_threshold_that_somebody_set_goes_before_the_run_s() -> None:
    prediction = Prediction.from_row(EMPTY | {"picture": "p"})
    assessment = assessed(prediction, WORTH)
    assert judged(prediction, assessment, None).abstained
    assert not judged(prediction, assessment, 0.0).abstained
    assert not judged(prediction, assessment, 0.8).abstained
    assert judged(prediction, None, 0.95).abstained
    assert not judged(prediction, None, None).abstained
    usual = replace(WORTH, usual=None)
    assert assessed(prediction, usual).unlike is False
    assert assessed(prediction, None) is None


def test_a_saved_page_carries_its_own_policy(saved: Serving) -> None:
    answer = saved.ask(image_id=saved.image_id(), question="where is it?").json()
    page = saved.client.get(f"/conversations/{answer['conversation_id']}/export?format=html")
    found = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page.text)
    assert found is not None
    own = unescape(found[1])
    assert own.startswith("default-src 'none'; img-src data:;")
    assert "frame-ancestors" not in own  # a policy in a page may not say it, and browsers complain
    assert page.headers["Content-Security-Policy"] == f"{own}; frame-ancestors 'none'; sandbox"
    assert page.text.index("Content-Security-Policy") < page.text.index("<style>")


def test_suggestions_are_those_of_the_run_and_none_without_one(saved: Serving) -> None:
    assert saved.client.get("/suggestions").json() == []
    saved.service.suggestions = [("organ", "which organ?")]
    try:
        listed = saved.client.get("/suggestions").json()
    finally:
        saved.service.suggestions = None
    assert listed == [{"category": "organ", "question": "which organ?"}]
