"""Similar cases as evidence: answers beside the training cases that look most alike."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Neighbour, Prediction
from vesalius.cases.tasks import task_of
from vesalius.combine import indexing
from vesalius.combine.retrieve import Retriever
from vesalius.errors import RunError
from vesalius.models import Incremental, Lesson, Model, Piece, Streaming, Wraps
from vesalius.models.capabilities import controlled
from vesalius.recipe import Decoding, Retrieve
from vesalius.run import Run

LOOKED_UP = 512
"""Pictures whose neighbours are remembered: a conversation asks about one many times."""


class SupportedAnswers:
    """A model's answers with similar cases as evidence, unless they bring neighbours themselves."""

    def __init__(self, model: Model, retriever: Retriever) -> None:
        self.members: Mapping[str, Model] = {"model": model}
        self.retriever = retriever
        self._model = model
        self._known: OrderedDict[tuple[str, str], tuple[Neighbour, ...]] = OrderedDict()

    @property
    def needs_image(self) -> bool:
        """Whether the model itself does; the cases of a dialogue without one are none."""
        return self._model.needs_image

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """The model's answers; the cases are of other groups, and never the picture itself."""
        return self._supported(dialogues, self._model.predict(dialogues, decoding))

    def predict_each(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> Iterator[Prediction]:
        """The same as they come, where the model's come one by one."""
        if isinstance(self._model, Incremental):
            named = {dialogue.id: dialogue for dialogue in dialogues}
            for answer in self._model.predict_each(dialogues, decoding):
                yield self._supported([named[answer.id]], [answer])[0]
        else:
            yield from self.predict(dialogues, decoding)

    def with_neighbours(self, control: str) -> Self:
        """The model under the control, if it retrieves itself, beside cases under the same."""
        return type(self)(controlled(self._model, control), self.retriever.controlled(control))

    def forget(self, picture: str) -> None:
        """Give up what was looked up for a picture, by its key, in every view of it."""
        bare = picture.partition("#")[0]
        for key in [key for key in self._known if key[1].partition("#")[0] == bare]:
            del self._known[key]

    def _supported(
        self, dialogues: Sequence[Dialogue], predictions: Sequence[Prediction]
    ) -> list[Prediction]:
        bare = [one.neighbours == () for one in predictions]
        todo = [d for d, is_bare in zip(dialogues, bare, strict=True) if is_bare and d.pictures]
        self._look_up(todo)
        return [
            replace(one, evidence=(*one.evidence, *self._of(d))) if is_bare and d.pictures else one
            for d, one, is_bare in zip(dialogues, predictions, bare, strict=True)
        ]

    def _of(self, dialogue: Dialogue) -> tuple[Neighbour, ...]:
        """The cases nearest to any of its pictures, each told once, the most similar first."""
        nearest: dict[str, Neighbour] = {}
        for picture in dialogue.pictures:
            key = (dialogue.group, picture.key)
            self._known.move_to_end(key)
            for one in self._known[key]:
                other = nearest.get(one.case)
                if other is None or one.similarity > other.similarity:
                    nearest[one.case] = one
        ordered = sorted(nearest.values(), key=lambda one: one.similarity, reverse=True)
        return tuple(ordered[: self.retriever.settings.neighbours])

    def _look_up(self, dialogues: Sequence[Dialogue]) -> None:
        """Find what is not known yet, each picture once, all of them together."""
        wanted = {(d.group, picture.key): picture for d in dialogues for picture in d.pictures}
        new = {key: picture for key, picture in wanted.items() if key not in self._known}
        near = self.retriever.neighbours(
            list(new.values()),
            exclude_groups=[group for group, _ in new],
            exclude_keys=[key for _, key in new],
        )
        self._known.update(zip(new, near, strict=True))
        for key in list(self._known)[: max(0, len(self._known) - LOOKED_UP)]:
            if key not in wanted:
                del self._known[key]


class StreamedSupportedAnswers(SupportedAnswers):
    """The same of a model that can be listened to while it answers."""

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """The model's pieces; its predictions come with their cases."""
        model: Any = self._model
        for place, piece in model.stream(dialogues, decoding, cancelled=cancelled):
            if isinstance(piece, Prediction):
                yield place, self._supported([dialogues[place]], [piece])[0]
            else:
                yield place, piece


def supported(model: Model, run: Run) -> Model:
    """The model with the similar cases of a run that has an index of them."""
    if isinstance(model, SupportedAnswers):
        return model
    retriever = Retriever.load(run)
    if retriever is None:
        raise RunError("has no index of similar cases", where=run.path)
    kind = StreamedSupportedAnswers if isinstance(model, Streaming) else SupportedAnswers
    return kind(model, retriever)


class Evidence:
    """Shows, beside a member's answers, the training cases that look most like the picture.

    The recipe's ``retrieve`` block is its short form: the same index beside the model's own
    weights, without a member.
    """

    Settings: ClassVar[type[Retrieve]] = Retrieve
    needs_image: ClassVar[bool] = False
    wraps: ClassVar[Wraps] = Wraps(least=1, most=1)

    def __init__(self, settings: Retrieve) -> None:
        self.settings = settings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Write the index of the training pictures, unless it is there."""
        if not run.index.exists():
            write_index(run, lesson.train, self.settings)

    def load(self, run: Run, *, members: Mapping[str, Model]) -> Model:
        """The member with the run's cases."""
        (model,) = members.values()
        return supported(model, run)


def write_index(run: Run, train: Sequence[Dialogue], settings: Retrieve) -> dict[str, Any]:
    """Write a run's index of similar cases over the pictures it was trained on; its facts."""
    data, status = run.recipe().data, run.status()
    own = task_of(data.task).asks == "questions"
    entries = indexing.index_entries(train, "" if own else data.instruction)
    facts = {"split": data.splits.train, "data": status["data"]["train"]["sha256"]}
    started = time.perf_counter()
    about = indexing.write_index(run.index, entries, settings, facts)
    seconds = round(time.perf_counter() - started, 1)
    run.note(index={"pictures": about["pictures"], "encoder": settings.encoder, "seconds": seconds})
    return about
