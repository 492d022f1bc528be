"""Few-shot: a model that is shown similar training cases with their answers before the question."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour, Prediction
from vesalius.combine.few_shot.shots import FewShotPrompt, Form, Shot, few_shot_prompt
from vesalius.combine.prompting import (
    Cases,
    CitedCase,
    Prompting,
    fitting,
    require_cases,
    warn_of_leaving,
    write_cases,
)
from vesalius.combine.retrieval.lookup import AGAIN, whole_index
from vesalius.errors import ModelError, RecipeError, RunError
from vesalius.models import Lesson, Model, Piece, Streaming, Wraps, each, parts
from vesalius.models.capabilities import Conversational, controlled
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding, Retrieve
from vesalius.run import Run

WRAPPED = "few_shot wraps generative, composed, endpoint or a finished run of one"
log = logging.getLogger(__name__)


class FewShotSettings(Prompting):
    """Which training cases are shown before a question, and how."""

    neighbours: int = Field(default=1, ge=1, le=100)
    """At most so many cases are shown."""
    threshold: float = Field(default=0.75, ge=-1.0, le=1.0)
    """Least cosine similarity of two pictures for one to be shown; where none is, the model is
    asked without examples (zero-shot), which is counted."""
    side: int = Field(default=384, ge=16, le=1024)
    """Longer side, in pixels, of the pictures of training cases that the run keeps and shows."""
    pictures: Literal["auto", "turns", "none"] = "auto"
    """``turns``: each example is shown with its picture; ``none``: with words alone, and the run
    keeps no pictures; ``auto``: with its picture, unless the model reads all pictures before the
    first question."""


class FewShotAnswers:
    """A model that is asked behind similar training cases, which its answers cite."""

    needs_image: ClassVar[bool] = True

    def __init__(
        self, settings: FewShotSettings, members: Mapping[str, Model], cases: Cases
    ) -> None:
        (self._model,) = members.values()
        self.settings, self.members, self._cases = settings, members, cases
        self._form: Form = _form(settings, self._model)

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue, of that dialogue; its evidence the cases shown before it.

        The cases are of other patients, and never the picture itself. ModelError names a dialogue
        without a picture before anything is looked up.
        """
        prompts = self._prompts(dialogues)
        answers = self._model.predict([one.dialogue for one in prompts], decoding)
        return [p.prediction(answer) for p, answer in zip(prompts, answers, strict=True)]

    def predict_each(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> Iterator[Prediction]:
        """The same as they come, where the model's come one by one."""
        prompts = {one.dialogue.id: one for one in self._prompts(dialogues)}
        asked = [one.dialogue for one in prompts.values()]
        for answer in each(self._model, asked, decoding):
            yield prompts[answer.id].prediction(answer)

    def with_neighbours(self, control: str) -> Self:
        """The same model with other cases before its questions."""
        members = {key: controlled(one, control) for key, one in self.members.items()}
        return type(self)(self.settings, members, self._cases.controlled(control))

    def forget(self, picture: str) -> None:
        """Give up what was looked up for a picture, by its key, in every view of it."""
        self._cases.forget(picture)

    def _prompts(self, dialogues: Sequence[Dialogue]) -> list[FewShotPrompt]:
        require_pictures(dialogues)
        near = self._cases.near(dialogues)
        return [self._prompt(*one) for one in zip(dialogues, near, strict=True)]

    def _prompt(self, dialogue: Dialogue, near: Sequence[CitedCase]) -> FewShotPrompt:
        prompt, left = fitting(
            [Shot(one, self._picture(one.neighbour)) for one in near],
            lambda shots: few_shot_prompt(dialogue, shots, self._form),
            lambda whole: self.settings.fits(whole, self._model),
        )
        return FewShotPrompt(dialogue, prompt, left, len(near), self.settings.neighbours)

    def _picture(self, neighbour: Neighbour) -> Picture | None:
        """The small picture that is shown of a neighbour; None where words are."""
        if self._form != "pictures":
            return None
        key = neighbour.picture or ""
        small = self._cases.retriever.thumbnail(key)
        if small is None:
            raise RunError(f"the index has no picture {key}", where=neighbour.case, hint=AGAIN)
        return Picture(f"shot:{key}", partial(bytes, small))


class StreamedFewShotAnswers(FewShotAnswers):
    """The same of a model that can be listened to while it answers."""

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """The model's pieces; its predictions come with the cases that were shown."""
        prompts, model = self._prompts(dialogues), self._model
        assert isinstance(model, Streaming)
        asked = [one.dialogue for one in prompts]
        for place, piece in model.stream(asked, decoding, cancelled=cancelled):
            if isinstance(piece, Prediction):
                yield place, prompts[place].prediction(piece)
            else:
                yield place, piece


class FewShot:
    """Shows a model the training cases most like a picture, with their answers, before it asks.

    Nothing is trained. Source: in-context learning (T. Brown et al., Language models are few-shot
    learners, NeurIPS 2020), the examples chosen by similarity and the most similar last (J. Liu et
    al., What makes good in-context examples for GPT-3?, DeeLIO 2022).
    """

    Settings: ClassVar[type[FewShotSettings]] = FewShotSettings
    needs_image: ClassVar[bool] = True
    wraps: ClassVar[Wraps] = Wraps(least=1, most=1)

    def __init__(self, settings: FewShotSettings) -> None:
        self.settings = settings

    @property
    def index_settings(self) -> Retrieve:
        """An index with whole answers, and pictures of a size to be shown."""
        return self.settings.index_settings(
            0 if self.settings.pictures == "none" else self.settings.side
        )

    def check_members(self, members: Mapping[str, Any]) -> None:
        """RecipeError for a member that reads no turns before a question, or sees no pictures."""
        ((key, member),) = members.items()
        where = f"model.members.{key}"
        if not isinstance(member, Conversational):
            what = "reads no turns before a question, so examples would tell it nothing"
            raise RecipeError(what, where=where, hint=WRAPPED)
        if member.takes_pictures == "none":
            what = "sees no pictures, so not the one that is asked about either"
            raise RecipeError(what, where=where)
        if shows_pictures(member):
            return
        what = "reads all pictures before the first question, so examples cannot show theirs"
        if self.settings.pictures == "turns":
            raise RecipeError(what, where=where, hint="say pictures: auto or none")
        log.warning("%s: %s: they are words alone", where, what)

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """ModelError where there is nothing to show: no pictures, no answers in words."""
        del seed  # nothing is drawn
        for _, train in stages:
            require_cases(train, self.index_settings)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Write the index of the training cases, unless it is there; nothing is trained."""
        write_cases(run, lesson.train, self.index_settings)

    def load(self, run: Run, *, members: Mapping[str, Model]) -> FewShotAnswers:
        """The member behind the run's cases; RunError where the index is not one to show."""
        cases = Cases(whole_index(run))
        (model,) = members.values()
        warn_of_leaving(model, "pictures and words" if self.index_settings.thumbnails else "words")
        kind = StreamedFewShotAnswers if isinstance(model, Streaming) else FewShotAnswers
        return kind(self.settings, members, cases)


def shows_pictures(model: Conversational) -> bool:
    """Whether a model, or its learner, can be shown a picture with each of several turns."""
    return model.pictures_in_turns and getattr(model, "most_pictures", 2) > 1


def _form(settings: FewShotSettings, model: Model) -> Form:
    """How shots stand in the prompts of a model; ModelError if it reads none."""
    reading = next((one for one in parts(model) if isinstance(one, Conversational)), None)
    if reading is None:
        raise ModelError("the member reads no turns before a question", hint=WRAPPED)
    if not reading.pictures_in_turns:
        return "question"
    return "words" if settings.pictures == "none" or not shows_pictures(reading) else "pictures"
