"""The dialogue that a model is shown: which turns, and each picture in the turn that shows it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vesalius.cases.case import Answer, Box, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.reencode import Reencoded
from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import Refusal
from vesalius.service.chat.history import MAX_PICTURES, QuestionRequest, build_prompt, shortened
from vesalius.service.store import Store
from vesalius.service.store.records import Image


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(f"sqlite:///{tmp_path}/v.db", str(tmp_path / "pictures"))
    opened.migrate()
    yield opened
    opened.close()


def image(store: Store, name: str, **facts: object) -> Image:
    fields = {"suffix": ".dcm", "width": 4, "height": 3, "kind": "dicom", "frames": 3} | facts
    stored = Reencoded(name.encode(), **fields)  # type: ignore[arg-type]
    expires = datetime.now(UTC) + timedelta(hours=1)
    added, _ = store.add_image("ada", name.ljust(64, "0"), stored, expires_at=expires)
    return added


class Talk:
    """A conversation in which turns are answered as soon as they are asked."""

    def __init__(self, store: Store) -> None:
        self.store, self.id = store, store.new_conversation("ada").id

    def turn(self, about: Image, question: str, view: View = OWN_VIEW, **answer: object) -> None:
        begun = self.store.begin_turn("ada", self.id, about.id, question, view=view)
        self.store.finish_turn("ada", begun.answer_id, **{"answer": f"re {question}"} | answer)

    def dialogue(self, about: Image, *, history: bool = True, view: View = OWN_VIEW) -> Dialogue:
        request = QuestionRequest("ada", about.id, "now?", self.id, view)
        return build_prompt(self.store, request, "now?", history=history).dialogue


def frames(dialogue: Dialogue) -> list[list[int | None]]:
    return [[picture.view.frame for picture in turn.pictures] for turn in dialogue.turns]


def test_a_picture_stands_in_the_turn_that_shows_it(store: Store) -> None:
    first, second = image(store, "a"), image(store, "b")
    talk = Talk(store)
    talk.turn(first, "one")
    talk.turn(first, "two")
    talk.turn(second, "three")
    dialogue = talk.dialogue(first)
    keys = [[store.picture(one).key for one in group] for group in ([first], [], [second], [first])]
    assert [[p.key for p in turn.pictures] for turn in dialogue.turns] == keys
    assert [turn.question.text for turn in dialogue.turns] == ["one", "two", "three", "now?"]
    assert [turn.reply and turn.reply.text for turn in dialogue.turns] == [
        "re one", "re two", "re three", None,
    ]  # fmt: skip


def test_another_view_of_a_picture_is_shown_again(store: Store) -> None:
    scan = image(store, "a")
    talk = Talk(store)
    talk.turn(scan, "one", View(1))
    talk.turn(scan, "two", View(2))
    assert frames(talk.dialogue(scan, view=View(2))) == [[1], [2], []]


def test_without_history_a_question_stands_alone(store: Store) -> None:
    scan = image(store, "a")
    talk = Talk(store)
    talk.turn(scan, "one")
    dialogue = talk.dialogue(scan, history=False)
    assert len(dialogue.turns) == len(dialogue.pictures) == 1


def test_an_earlier_answer_is_shown_whole(store: Store) -> None:
    scan = image(store, "a")
    talk = Talk(store)
    box = {"x": 1.0, "y": 1.0, "width": 2.0, "height": 2.0, "label": "cyst"}
    talk.turn(scan, "one", content={"text": "here", "boxes": [box]})
    assert talk.dialogue(scan).turns[0].reply == Answer("here", boxes=(Box(1, 1, 2, 2, "cyst"),))


def test_failed_turns_and_those_of_deleted_pictures_are_left_out(store: Store) -> None:
    first, second = image(store, "a"), image(store, "b")
    talk = Talk(store)
    talk.turn(first, "one")
    talk.turn(second, "two")
    failed = store.begin_turn("ada", talk.id, second.id, "three")
    store.fail_turn("ada", failed.answer_id, "deadline", answer="half an")
    store.delete_image("ada", first.id)
    dialogue = talk.dialogue(second)
    assert [turn.question.text for turn in dialogue.turns] == ["two", "now?"]
    assert [len(turn.pictures) for turn in dialogue.turns] == [1, 0]


def test_no_more_pictures_than_a_prompt_may_show(store: Store) -> None:
    images = [image(store, f"{n}") for n in range(MAX_PICTURES + 2)]
    talk = Talk(store)
    for one in images:
        talk.turn(one, "what?")
    dialogue = talk.dialogue(images[-1])
    assert len(dialogue.pictures) == MAX_PICTURES
    assert dialogue.turns[0].pictures
    assert len(dialogue.turns) == MAX_PICTURES + 1


def test_bad_views_and_pictures_of_others_are_refused(store: Store) -> None:
    scan = image(store, "a")
    with pytest.raises(Refusal) as caught:
        Talk(store).dialogue(scan, view=View(7))
    assert caught.value.code == "image_frame"
    with pytest.raises(Refusal) as caught:
        build_prompt(store, QuestionRequest("bob", scan.id, "?"), "?", history=True)
    assert caught.value.code == "not_found"


def test_a_shortened_dialogue_keeps_what_it_is_about() -> None:
    a, b = (Picture(key, lambda: b"") for key in "ab")
    shows = [(a,), (), (b,), (), (), ()]
    replies = [*(Answer("x") for _ in shows[1:]), None]
    turns = [
        Turn(Question(str(at)), pictures, reply)
        for at, (pictures, reply) in enumerate(zip(shows, replies, strict=True))
    ]
    once = shortened(Dialogue("d", tuple(turns), group="g"))
    assert [turn.question.text for turn in once.turns] == ["3", "4", "5"]
    assert [turn.pictures for turn in once.turns] == [(b,), (), ()]
    assert [turn.question.text for turn in shortened(once).turns] == ["4", "5"]
    alone = shortened(shortened(once))
    assert [(turn.question.text, turn.pictures) for turn in alone.turns] == [("5", (b,))]
