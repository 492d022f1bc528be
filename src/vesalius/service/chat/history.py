"""What the model is shown of a conversation: earlier turns, each with the picture it shows."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import Refusal
from vesalius.service.chat.intake import require_view
from vesalius.service.store import Store
from vesalius.service.store.records import Image, new_id
from vesalius.service.store.records import Turn as StoredTurn

MAX_PICTURES = 8
"""Pictures that one prompt shows at most."""


@dataclass(frozen=True, slots=True)
class QuestionRequest:
    """A question of an owner about a view of a picture."""

    owner: str
    image_id: str
    question: str
    conversation_id: str | None = None
    view: View = OWN_VIEW
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Prompt:
    """The dialogue to be answered, and the ids of its pictures by the key of their content."""

    dialogue: Dialogue
    image_ids: Mapping[str, str]


def build_prompt(store: Store, request: QuestionRequest, question: str, *, history: bool) -> Prompt:
    """The question after the conversation's earlier turns, or with ``history`` off alone.

    A picture stands in the turn that shows it: the first one about it, and where the turn before
    was about another picture or view. Turns whose picture is no longer kept are left out, and so
    are those before the last ``MAX_PICTURES`` pictures. Blocks: call it in a thread. Refusal
    ``not_found``, ``image_expired``, ``image_frame``, ``image_window``.
    """
    image = store.image(request.owner, request.image_id)
    require_view(image.kind, image.frames, request.view)
    images = {image.id: image}
    earlier = _earlier(store, request, images) if history else []
    current = store.picture(image, request.view)
    shows: list[tuple[Picture, Turn]] = []
    for turn in earlier:
        picture = store.picture(images[turn.image_id or ""], turn.view)
        shows.append((picture, Turn(Question(turn.question), reply=_answer(turn))))
    turns = _with_pictures([*shows, (current, Turn(Question(question)))])
    name = new_id("job_")
    keys = {store.picture(one).key: one.id for one in images.values()}
    return Prompt(Dialogue(name, turns, group=name, case=name), keys)


def shortened(dialogue: Dialogue) -> Dialogue:
    """The dialogue without the older half of its earlier turns; the rest keeps what it is about."""
    left = (len(dialogue.turns) - 1) // 2 + 1
    before, (first, *others) = dialogue.turns[:-left], dialogue.turns[-left:]
    if not first.pictures:
        last = next((turn.pictures for turn in reversed(before) if turn.pictures), ())
        first = replace(first, pictures=last)
    return replace(dialogue, turns=(first, *others))


def _earlier(store: Store, request: QuestionRequest, images: dict[str, Image]) -> list[StoredTurn]:
    """Answered turns whose pictures are here still; ``images`` learns those."""
    if request.conversation_id is None:
        return []
    turns = store.conversation(request.owner, request.conversation_id).turns
    for image_id in {turn.image_id for turn in turns if turn.image_state == "stored"}:
        with suppress(Refusal):  # it went meanwhile
            images[image_id or ""] = store.image(request.owner, image_id or "")
    return [
        turn
        for turn in turns
        if turn.state == "done" and (turn.answer or turn.content) and turn.image_id in images
    ]


def _answer(turn: StoredTurn) -> Answer:
    if turn.content is None:  # of a version that stored the text alone
        return Answer(text=turn.answer)
    return Prediction.from_row({"id": turn.answer_id, "answer": turn.content}).answer


def _with_pictures(shows: list[tuple[Picture, Turn]]) -> tuple[Turn, ...]:
    """The turns, each with its picture where that is another one than the turn before showed."""
    turns: list[Turn] = []
    before = None
    for picture, turn in shows:
        turns.append(turn if picture.key == before else replace(turn, pictures=(picture,)))
        before = picture.key
    showing = [at for at, turn in enumerate(turns) if turn.pictures]
    return tuple(turns[showing[-MAX_PICTURES:][0] :])
