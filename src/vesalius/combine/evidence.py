"""Similar cases as evidence: answers beside the training cases that look most alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Self

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.cases.tasks import task_of
from vesalius.combine.retrieval import indexing
from vesalius.combine.retrieval.lookup import Lookup
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.errors import ModelError, RunError
from vesalius.models import Incremental, Lesson, Model, Piece, Streaming, Wraps
from vesalius.models.capabilities import Steerable, controlled
from vesalius.recipe import Decoding, Retrieve
from vesalius.run import Run
from vesalius.training.processes import on_main


class SupportedAnswers:
    """A model's answers with similar cases as evidence, unless they bring neighbours themselves."""

    def __init__(self, model: Model, retriever: Retriever) -> None:
        self.members: Mapping[str, Model] = {"model": model}
        self._model, self._lookup = model, Lookup(retriever)

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
        retriever = self._lookup.retriever.controlled(control)
        return type(self)(controlled(self._model, control), retriever)

    def forget(self, picture: str) -> None:
        """Give up what was looked up for a picture, by its key, in every view of it."""
        self._lookup.forget(picture)

    def _supported(
        self, dialogues: Sequence[Dialogue], predictions: Sequence[Prediction]
    ) -> list[Prediction]:
        bare = [
            place
            for place, (dialogue, one) in enumerate(zip(dialogues, predictions, strict=True))
            if one.neighbours == () and dialogue.pictures
        ]
        near = self._lookup.neighbours(
            [(dialogues[at].group, dialogues[at].pictures) for at in bare]
        )
        whole = list(predictions)
        for at, cases in zip(bare, near, strict=True):
            whole[at] = replace(whole[at], evidence=(*whole[at].evidence, *cases))
        return whole


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


def steerable(model: Model) -> Steerable:
    """The model whose decoding can be changed, without the similar cases that a run shows beside.

    ModelError where it is another wrapper, or no model that writes here.
    """
    bare = model.members["model"] if isinstance(model, SupportedAnswers) else model
    if not isinstance(bare, Steerable):
        hint = "guided and reranked wrap generative, composed or text"
        raise ModelError("a draft member's next tokens cannot be weighed here", hint=hint)
    return bare


def supported(model: Model, run: Run) -> Model:
    """The model with the similar cases of a run that has an index of them."""
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

    @property
    def index_settings(self) -> Retrieve:
        """As its block says."""
        return self.settings

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Write the index of the training pictures, unless it is there."""
        ensure_index(run, lesson.train, self.settings)

    def load(self, run: Run, *, members: Mapping[str, Model]) -> Model:
        """The member with the run's cases."""
        (model,) = members.values()
        return supported(model, run)


def ensure_index(run: Run, train: Sequence[Dialogue], settings: Retrieve) -> None:
    """Write a run's index, unless it is there; of several processes one does, and all wait."""
    on_main(lambda: None if run.index.exists() else write_index(run, train, settings))


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
