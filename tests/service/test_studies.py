"""Studies over HTTP: made of uploads, counted once, asked about, and gone with their pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from serving import Serving, png, serving

from hostile import SECRETS, scan, written


def slice_at(mm: float, **fields: object) -> bytes:
    made = scan(np.full((8, 8), int(mm) % 100, np.int16) + np.arange(8, dtype=np.int16))
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, mm], [1, 0, 0, 0, 1, 0]
    for name, value in fields.items():
        setattr(made, name, value)
    return written(made)


def visit(day: str, *positions: float) -> list[bytes]:
    own = {"StudyDate": day, "StudyInstanceUID": f"1.2.{day}", "SeriesInstanceUID": f"1.3.{day}"}
    return [slice_at(mm, **own) for mm in positions]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    state = tmp_path_factory.mktemp("state")
    own = {"text_in_dicom": "off", "rate_per_minute": 100_000, "max_study": 8, "history": "own"}
    with serving(state, **own) as running:
        yield running


def study(api: Serving, image_ids: list[str], **fields: object) -> dict:
    answer = api.client.post("/studies", json={"image_ids": image_ids} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()


def problem(answer) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_study_has_its_series_in_order_and_its_prior_before_it(api: Serving) -> None:
    now = [api.image_id(data) for data in visit("20240301", 10, 0, 5)]
    then = [api.image_id(data) for data in visit("20240131", 5, 0)]
    made = study(api, [*now, *then])
    assert made["image_ids"] == [then[1], then[0], now[1], now[2], now[0]]
    assert [(s["role"], s["days"], s["modality"]) for s in made["series"]] == [
        ("prior", -30, "CT"), ("current", 0, "CT"),
    ]  # fmt: skip
    assert made["warnings"] == []
    assert api.client.get(f"/studies/{made['study_id']}").json() == made
    for secret in (*SECRETS, "2024", "1.2.", "1.3."):
        assert secret not in str(made)


def test_what_is_kept_of_a_header_names_nobody(api: Serving) -> None:
    api.image_id(slice_at(0, StudyDate="19990909"))
    folder = api.service.settings.state
    kept = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"series" in kept
    for secret in (*SECRETS, "19990909"):
        assert secret.encode() not in kept


def test_studies_are_listed_and_pictures_tell_theirs(tmp_path: Path) -> None:
    with serving(tmp_path, text_in_dicom="off", rate_per_minute=9999) as own:
        ids = [own.image_id(png(number)) for number in range(5)]
        old, new = study(own, ids[:2]), study(own, ids[1:3])
        own.client.post("/studies", json={"files": 2})  # room alone is no study to look at

        def listed(path: str, **params: object) -> list[str]:
            page = own.client.get(path, params=params).json()
            return [one.get("study_id") or one["image_id"] for one in page[path[1:]]]

        first = own.client.get("/studies", params={"limit": 1}).json()
        assert first["studies"] == [new]
        assert listed("/studies", before=first["next"]) == [old["study_id"]]
        accept = {"Accept": "application/json"}
        told = [own.client.get(f"/images/{one}", headers=accept).json() for one in ids]
        wanted = [old["study_id"], new["study_id"], new["study_id"], None, None]
        assert [one["study_id"] for one in told] == wanted
        assert listed("/images", alone=True) == [ids[4], ids[3]]
        assert listed("/images", alone=False) == [ids[2], ids[1], ids[0]]
        # A question about one picture, beside another, is one about the study of either.
        own.ask(image_ids=[ids[3], ids[2]], question="so?")
        assert listed("/studies", asked=False) == [old["study_id"]]
        assert listed("/studies", asked=True) == [new["study_id"]]
        assert listed("/images", alone=True, asked=False) == [ids[4]]
        own.client.delete(f"/images/{ids[0]}")
        own.client.delete(f"/images/{ids[1]}")
        assert listed("/studies") == [new["study_id"]]
        bad = own.client.get("/studies", params={"before": "x"})
        assert problem(bad) == (422, "invalid_cursor")


def test_a_gap_and_a_repeat_are_told(api: Serving) -> None:
    ids = [api.image_id(data) for data in visit("20220101", 0, 5, 20)]
    made = study(api, [*ids, ids[0]])
    assert made["image_ids"] == ids
    assert made["files"] == 4
    assert made["warnings"] == ["1 of 4 pictures were named before, or equal"]
    # distances 5 and 15, of which 10 is the median: 15 is no more than 1.5 times that
    assert made["series"][0]["warnings"] == []
    ids = [api.image_id(data) for data in visit("20220102", 0, 5, 10, 25)]
    assert "2 slices seem" in study(api, ids)["series"][0]["warnings"][0]


def test_two_patients_are_refused_by_the_name_of_the_rule(api: Serving) -> None:
    ids = [api.image_id(slice_at(1)), api.image_id(slice_at(2, PatientID="ROE-77"))]
    answer = api.client.post("/studies", json={"image_ids": ids})
    assert problem(answer) == (422, "two_patients")
    asked = api.ask(image_ids=ids, question="any change?")
    assert problem(asked) == (422, "two_patients")
    for words in (answer.text, asked.text):
        assert not any(secret in words for secret in (*SECRETS, "ROE-77"))


def test_too_many_are_refused_before_anything_is_looked_up(api: Serving) -> None:
    ids = [f"img_{n:040x}" for n in range(2000)]
    answer = api.client.post("/studies", json={"image_ids": ids})
    assert problem(answer) == (413, "study_too_large")
    assert "at most 8 pictures, and these are 2,000" in answer.json()["detail"]
    assert problem(api.client.post("/studies", json={"files": 9})) == (413, "study_too_large")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"image_ids": []},
        {"image_ids": ["a"], "files": 3},
        {"files": 3, "current": "a"},
        {"image_ids": ["a"], "current": "b"},
        {"files": 0},
    ],
)
def test_a_body_that_says_nothing_or_two_things_is_refused(api: Serving, body: dict) -> None:
    assert problem(api.client.post("/studies", json=body)) == (422, "invalid_request")


def test_what_is_not_there_is_refused(api: Serving) -> None:
    missing = {"image_ids": ["img_" + "0" * 40]}
    assert problem(api.client.post("/studies", json=missing)) == (404, "not_found")
    own = {"image_ids": [api.image_id()], "study_id": "std_" + "0" * 40}
    assert problem(api.client.post("/studies", json=own)) == (404, "not_found")
    upload = api.upload(png(3), params={"study": "std_" + "0" * 40})
    assert problem(upload) == (404, "not_found")


def test_a_form_names_them_with_commas(api: Serving) -> None:
    ids = [api.image_id(png(n)) for n in (1, 2)]
    made = api.client.post("/studies", data={"image_ids": ", ".join(ids)}).json()
    assert made["image_ids"] == ids
    assert made["series"][0]["role"] == "current"
    asked = api.client.post("/ask_question", data={"image_ids": ",".join(ids), "question": "so?"})
    assert asked.json()["image_ids"] == ids


def test_several_pictures_are_asked_about_and_the_last_one_is_current(
    api: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, seen = api.service.engine._host.model, []
    predict = model._prediction

    def watched(dialogue, limit):
        seen.append([len(turn.pictures) for turn in dialogue.turns])
        return predict(dialogue, limit)

    monkeypatch.setattr(model, "_prediction", watched)
    ids = [api.image_id(png(n)) for n in (11, 12)]
    first = api.ask(image_ids=ids, question="any change?").json()
    assert (first["image_id"], first["image_ids"]) == (ids[1], ids)
    own = {"conversation_id": first["conversation_id"]}
    api.ask(image_ids=ids, question="where?", **own)
    api.ask(image_id=ids[1], question="and alone?", **own)
    assert seen == [[2], [2, 0], [2, 0, 1]]  # shown again where it is another set of pictures
    whole = api.client.get(f"/conversations/{first['conversation_id']}").json()["messages"]
    assert [turn["image_ids"] for turn in whole] == [ids, ids, ids[1:]]
    assert api.client.delete(f"/images/{ids[0]}").status_code == 204
    api.ask(image_id=ids[1], question="what is left?", **own)
    assert seen[-1] == [1, 0]  # turns about both have lost one of them


def test_a_model_of_one_picture_is_asked_about_one(
    api: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [api.image_id(png(n)) for n in range(9)]
    many = api.ask(image_ids=ids, question="so?")
    assert problem(many) == (422, "pictures_unsupported")
    assert "a question shows 8 pictures at most, and 9 were named" in many.json()["detail"]
    monkeypatch.setitem(api.service.engine.about(), "most_pictures", 1)
    before = len(api.client.get("/conversations?limit=100").json()["conversations"])
    both = api.ask(image_ids=ids[:2], question="so?")
    assert problem(both) == (422, "pictures_unsupported")
    assert "this model looks at one picture at most" in both.json()["detail"]
    assert len(api.client.get("/conversations?limit=100").json()["conversations"]) == before
    assert api.ask(image_ids=ids[:1], question="so?").status_code == 200


def test_the_view_is_of_one_of_them(api: Serving) -> None:
    ids = [api.image_id(png(n)) for n in (1, 2)]
    wrong = api.ask(image_ids=ids, image_id="img_x", question="so?")
    assert problem(wrong) == (422, "invalid_request")
    twice = api.ask(image_ids=[ids[0], ids[0]], question="so?")
    assert problem(twice) == (422, "invalid_request")


def test_uploads_of_one_study_are_counted_once(tmp_path: Path) -> None:
    with serving(tmp_path, text_in_dicom="off", rate_per_minute=4) as api:
        opened = api.client.post("/studies", json={"files": 6}).json()  # 1
        own = {"params": {"study": opened["study_id"]}}
        ids = [api.image_id(data, **own) for data in visit("20240301", *range(0, 30, 5))]
        made = study(api, ids, study_id=opened["study_id"])  # 2
        assert (made["study_id"], len(made["image_ids"])) == (opened["study_id"], 6)
        assert api.upload(png(1), **own).status_code == 201  # 3: the room is used up
        assert api.upload(png(2), **own).status_code == 201  # 4
        assert problem(api.upload(png(3), **own)) == (429, "rate_limited")


def test_a_study_goes_with_its_pictures(api: Serving) -> None:
    ids = [api.image_id(data) for data in visit("20200301", 0, 5, 10)]
    made = study(api, ids)
    asked = api.ask(image_ids=ids, question="so?").json()
    assert api.client.delete(f"/images/{ids[0]}").status_code == 204
    url = f"/studies/{made['study_id']}"
    left = api.client.get(url).json()
    assert left["image_ids"] == ids[1:]
    assert left["warnings"] == ["1 of 3 pictures are no longer kept"]
    assert api.client.delete(url).status_code == 204
    assert problem(api.client.get(url)) == (404, "not_found")
    files = {path.stem for path in (api.service.settings.state / "pictures").rglob("img_*")}
    assert files
    assert not files & set(ids)
    (turn,) = api.client.get(f"/conversations/{asked['conversation_id']}").json()["messages"]
    assert (turn["answer"], turn["image_state"]) == ("You asked: so?", "deleted")


def test_another_s_study_is_not_there(tmp_path: Path) -> None:
    with serving(tmp_path, keys="on") as api:
        keys = [api.service.store.create_key(name)[1] for name in ("ada", "bob")]
        ada, bob = ({"Authorization": f"Bearer {key}"} for key in keys)
        ids = [api.image_id(png(n), headers=ada) for n in (1, 2)]
        made = api.client.post("/studies", json={"image_ids": ids}, headers=ada).json()
        for method in ("GET", "DELETE"):
            answer = api.client.request(method, f"/studies/{made['study_id']}", headers=bob)
            assert problem(answer) == (404, "not_found")
        stolen = api.client.post("/studies", json={"image_ids": ids}, headers=bob)
        assert problem(stolen) == (404, "not_found")
        body = {"image_ids": ids, "question": "so?"}
        assert problem(api.client.post("/ask_question", json=body, headers=bob))[0] == 404
