"""What the model is shown of a conversation: earlier turns, each with the picture it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Prediction
from vesalius.cases.view import OWN_VIEW, View
from vesalius.errors import Refusal
from vesalius.service.chat.intake import require_view
from vesalius.service.chat.studies import require_one_patient
from vesalius.service.store import Store
from vesalius.service.store.records import Image, new_id
from vesalius.service.store.records import Turn as StoredTurn

MAX_PICTURES = 8
"""Pictures that one prompt shows at most, and so one question."""


@dataclass(frozen=True, slots=True)
class QuestionRequest:
    """A question of an owner about a view of a picture.

    ``image_ids``: all pictures that it shows, in order, where they are several; that of the view is
    one of them, and the others are shown as their files have it. ``replaces``: the answer whose
    question is asked again.
    """

    owner: str
    image_id: str
    question: str
    conversation_id: str | None = None
    view: View = OWN_VIEW
    max_tokens: int | None = None
    image_ids: tuple[str, ...] = ()
    replaces: str | None = None

    @property
    def all_ids(self) -> tuple[str, ...]:
        """The ids of all pictures that it shows."""
        return self.image_ids or (self.image_id,)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The dialogue to be answered, and the ids of its pictures by the key of their content."""

    dialogue: Dialogue
    image_ids: Mapping[str, str]


def build_prompt(store: Store, request: QuestionRequest, question: str, *, history: bool) -> Prompt:
    """The question after the conversation's earlier turns, or with ``history`` off alone.

    A picture stands in the turn that shows it: the first one about it, and where the turn before
    was about others, or another view. Turns of which a picture is no longer kept are left out, and
    so are those before the last ``MAX_PICTURES`` pictures. Blocks: call it in a thread. Refusal
    ``not_found``, ``image_expired``, ``image_frame``, ``image_window``, ``two_patients``.
    """
    images = {one.id: one for one in store.images(request.owner, request.all_ids)}
    require_one_patient(list(images.values()))
    image = images[request.image_id]
    require_view(image.kind, image.frames, request.view)
    earlier = _earlier(store, request, images) if history else []

    def pictures(ids: Sequence[str], about: str | None, view: View) -> tuple[Picture, ...]:
        own = (view if one == about else OWN_VIEW for one in ids)
        return tuple(store.picture(images[one], each) for one, each in zip(ids, own, strict=True))

    shows: list[tuple[tuple[Picture, ...], Turn]] = []
    for turn in earlier:
        held = pictures(_images(turn), turn.image_id, turn.view)
        shows.append((held, Turn(Question(turn.question), reply=_answer(turn))))
    current = pictures(request.all_ids, request.image_id, request.view)
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
    turns = _standing(store.conversation(request.owner, request.conversation_id).turns, request)
    stored = (turn for turn in turns if turn.image_state == "stored")
    for image_id in {one for turn in stored for one in _images(turn)} - set(images):
        with suppress(Refusal):  # it went meanwhile
            images[image_id] = store.image(request.owner, image_id)
    return [
        turn
        for turn in turns
        if turn.state == "done"
        and (turn.answer or turn.content)
        and turn.image_id is not None
        and all(one in images for one in _images(turn))
    ]


def _standing(turns: Sequence[StoredTurn], request: QuestionRequest) -> list[StoredTurn]:
    """Turns that were not asked again, and are not by this request."""
    again = (turn.position for turn in turns if turn.answer_id == request.replaces)
    end = next(again, len(turns))
    return [turn for turn in turns if turn.replaced_by is None and turn.position < end]


def _images(turn: StoredTurn) -> tuple[str, ...]:
    """The ids of all pictures that a turn showed."""
    return turn.images or (turn.image_id or "",)


def _answer(turn: StoredTurn) -> Answer:
    if turn.content is None:  # of a version that stored the text alone
        return Answer(text=turn.answer)
    return Prediction.from_row({"id": turn.answer_id, "answer": turn.content}).answer


def _with_pictures(shows: list[tuple[tuple[Picture, ...], Turn]]) -> tuple[Turn, ...]:
    """The turns, each with its pictures where those are others than the turn before showed."""
    turns: list[Turn] = []
    before: tuple[str, ...] = ()
    for pictures, turn in shows:
        keys = tuple(picture.key for picture in pictures)
        turns.append(turn if keys == before else replace(turn, pictures=pictures))
        before = keys
    first, count = len(turns) - 1, 0
    for at in reversed(range(len(turns))):
        count += len(turns[at].pictures)
        if count > MAX_PICTURES:
            break
        first = at if turns[at].pictures else first
    return tuple(turns[first:])


def require_count(request: QuestionRequest, most: int | None) -> None:
    """Refusal for more pictures than a question may show, or than the model looks at."""
    count, limit = len(request.all_ids), MAX_PICTURES if most is None else min(most, MAX_PICTURES)
    if count <= limit:
        return
    shown = "one picture" if limit == 1 else f"{limit} pictures"
    whose = "this model looks at" if limit == most else "a question shows"
    what = f"{whose} {shown} at most, and {count} were named"
    raise Refusal("pictures_unsupported", what, hint="choose among them, the current one last")
