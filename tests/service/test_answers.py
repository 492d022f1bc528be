"""An answer travels whole: from a prediction's row through the store to API, stream and exports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from serving import Serving, events, serving

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


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("saved")
    path = folder / "predictions.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (MARKED, DETECTED)))
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
