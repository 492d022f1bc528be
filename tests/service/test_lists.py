"""Lists one can find things in: search, rename, uploads without a question, delete all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from serving import Serving, png, serving


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Three people behind one page: each test has one of its own."""
    with serving(tmp_path_factory.mktemp("state"), keys="on", rate_per_minute=9999) as running:
        secret = running.service.store.create_key("page", may_act_for_others=True)[1]
        running.client.headers["Authorization"] = f"Bearer {secret}"
        yield running


@pytest.fixture
def person(api: Serving, request: pytest.FixtureRequest) -> Serving:
    api.client.headers["X-Vesalius-User"] = request.node.name[:200]
    return api


def titles(api: Serving, **params: object) -> list[str]:
    listed = api.client.get("/conversations", params=params).json()["conversations"]
    return [one["title"] for one in listed]


def test_a_list_says_what_each_conversation_is_about(person: Serving) -> None:
    image_id = person.image_id()
    asked = person.ask(image_id=image_id, question="what is it?").json()
    person.ask(
        image_id=person.image_id(png(5)),
        question="and this?",
        conversation_id=asked["conversation_id"],
    )
    person.client.post("/conversations", json={"title": "empty"})
    empty, one = person.client.get("/conversations").json()["conversations"]
    assert (one["image_id"], one["image_state"], one["modality"]) == (image_id, "kept", None)
    whole = person.client.get(f"/conversations/{one['conversation_id']}").json()
    assert {name: whole[name] for name in one} == one
    assert (empty["image_id"], empty["image_state"]) == (None, None)
    person.client.delete(f"/images/{image_id}")
    assert (
        person.client.get("/conversations").json()["conversations"][1]["image_state"] == "deleted"
    )


def test_words_of_titles_questions_and_answers_are_searched(person: Serving) -> None:
    image_id = person.image_id()
    first = person.ask(image_id=image_id, question="Is there a NODULE?").json()
    person.ask(image_id=image_id, question="how large?", conversation_id=first["conversation_id"])
    person.ask(image_id=image_id, question="100 % sure_of it?")
    assert titles(person, search="nodule") == ["Is there a NODULE?"]
    assert titles(person, search=" how LARGE ") == ["Is there a NODULE?"]
    assert len(titles(person, search="you asked")) == 2  # the echo's answers
    assert (
        titles(person, search="100 %") == titles(person, search="sure_of") == ["100 % sure_of it?"]
    )
    assert titles(person, search="sure.of") == titles(person, search="nothing of it") == []
    page = person.client.get("/conversations", params={"search": "asked", "limit": 1}).json()
    rest = titles(person, search="asked", before=page["next"])
    assert [page["conversations"][0]["title"], *rest] == titles(person)


def test_a_conversation_is_renamed_by_its_owner(person: Serving) -> None:
    asked = person.ask(image_id=person.image_id(), question="what is it?").json()
    url = f"/conversations/{asked['conversation_id']}"
    before = person.client.get(url).json()
    renamed = person.client.patch(url, json={"title": "  Chest, follow-up "})
    assert renamed.json()["title"] == "Chest, follow-up"
    assert titles(person) == ["Chest, follow-up"]
    after = person.client.get(url).json()
    assert (after["updated_at"], after["turns"]) == (before["updated_at"], before["turns"])
    for title in ("", "  ", "x" * 201):
        assert person.client.patch(url, json={"title": title}).status_code == 422
    person.client.headers["X-Vesalius-User"] = "a stranger"
    assert person.client.patch(url, json={"title": "mine"}).status_code == 404


def test_uploads_without_a_question_are_listed(person: Serving) -> None:
    alone, first, second, new = (person.image_id(png(n)) for n in range(4))
    person.ask(image_id=alone, question="so?")
    person.ask(image_ids=[first, second], question="any change?")

    def listed(**params: object) -> list[str]:
        return [
            one["image_id"] for one in person.client.get("/images", params=params).json()["images"]
        ]

    assert listed() == [new, second, first, alone]
    assert listed(asked=False) == [new]
    assert listed(asked=True) == [second, first, alone]
    page = person.client.get("/images", params={"limit": 3}).json()
    assert listed(before=page["next"]) == [alone]
    assert person.client.get("/images", params={"before": "x"}).json()["code"] == "invalid_cursor"
    person.client.headers["X-Vesalius-User"] = "a stranger"
    assert listed() == []


def test_all_goes_where_that_is_said_and_others_keep_theirs(person: Serving) -> None:
    me = person.client.headers["X-Vesalius-User"]
    person.client.headers["X-Vesalius-User"] = "another"
    theirs = person.ask(image_id=person.image_id(png(1)), question="theirs?").json()
    person.client.headers["X-Vesalius-User"] = me
    ids = [person.image_id(png(n)) for n in (1, 2)]
    for image_id in ids:
        person.ask(image_id=image_id, question="mine?")
    made = person.client.post("/studies", json={"image_ids": ids}).json()
    for path in ("/conversations", "/images"):
        for wrong in ({}, {"all": "false"}, {"all": "1"}):
            assert person.client.delete(path, params=wrong).status_code == 422
    assert len(titles(person)) == 2
    assert person.client.delete("/conversations", params={"all": "true"}).json() == {"deleted": 2}
    assert titles(person) == []
    assert person.client.delete("/images", params={"all": "true"}).json() == {"deleted": 2}
    assert person.client.get("/images").json() == {"images": [], "next": None}
    assert person.client.get(f"/studies/{made['study_id']}").status_code == 404
    files = {path.stem for path in (person.service.settings.state / "pictures").rglob("img_*")}
    assert not files & set(ids)
    person.client.headers["X-Vesalius-User"] = "another"
    assert titles(person) == ["theirs?"]
    assert theirs["image_id"] in files
