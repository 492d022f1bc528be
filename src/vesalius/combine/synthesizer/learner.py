"""The synthesizer: a writer refines a draft with what was said of similar training cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.combine.prompting import Cases, require_cases, warn_of_leaving, write_cases
from vesalius.combine.retrieval.lookup import whole_index
from vesalius.combine.synthesizer.briefing import CONCEPTS, DRAFT, WRITER, Brief, Briefing
from vesalius.combine.synthesizer.synthesis import Synthesis
from vesalius.errors import RecipeError
from vesalius.models import Lesson, Model, Piece, Streaming, Wraps, each
from vesalius.models.capabilities import Conversational, Pictures, controlled
from vesalius.models.guard import require_pictures
from vesalius.recipe import Decoding, Retrieve
from vesalius.run import Run


class SynthesizerSettings(Synthesis):
    """What a writer is told, and whether it sees the picture."""

    seeing: bool = False
    """Show the writer the picture, too: it must be a model that sees. A writer that does not is
    given words alone."""


class SynthesizedAnswers:
    """A writer's captions, from a draft member's and the neighbours', looked at before they go."""

    needs_image: ClassVar[bool] = True

    def __init__(self, briefing: Briefing, members: Mapping[str, Model]) -> None:
        self.members, self._briefing, self._writer = members, briefing, members[WRITER]

    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue; its evidence the members' answers, then the neighbours.

        ``notes`` counts what in its text is not as it was asked for. ModelError names a dialogue
        without a picture before anything is asked.
        """
        briefs, settings = self._briefs(dialogues, decoding), self._briefing.settings
        texts = self._writer.predict([brief.prompt for brief in briefs], decoding)
        return [b.prediction(text, settings) for b, text in zip(briefs, texts, strict=True)]

    def predict_each(
        self, dialogues: Sequence[Dialogue], decoding: Decoding
    ) -> Iterator[Prediction]:
        """The same as they come, where the writer's come one by one."""
        briefs = {brief.asked.id: brief for brief in self._briefs(dialogues, decoding)}
        prompts = [brief.prompt for brief in briefs.values()]
        for written in each(self._writer, prompts, decoding):
            yield briefs[written.id].prediction(written, self._briefing.settings)

    def with_neighbours(self, control: str) -> Self:
        """The same model told of other cases, its members under the same control."""
        members = {key: controlled(one, control) for key, one in self.members.items()}
        return type(self)(self._briefing.controlled(control), members)

    def forget(self, picture: str) -> None:
        """Give up what was looked up for a picture, by its key, in every view of it."""
        self._briefing.cases.forget(picture)

    def _briefs(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Brief]:
        require_pictures(dialogues)
        answers = {
            key: model.predict(dialogues, decoding)
            for key, model in self.members.items()
            if key != WRITER
        }
        settings = self._briefing.settings
        return self._briefing.briefs(
            dialogues, answers, lambda prompt: settings.fits(prompt, self._writer)
        )


class StreamedSynthesizedAnswers(SynthesizedAnswers):
    """The same with a writer that can be listened to, and stopped, while it writes."""

    def stream(
        self,
        dialogues: Sequence[Dialogue],
        decoding: Decoding,
        *,
        cancelled: Callable[[int], bool] | None = None,
    ) -> Iterator[Piece]:
        """Each text once it is whole: before that nobody knows whether it is the answer."""
        briefs, writer = self._briefs(dialogues, decoding), self._writer
        assert isinstance(writer, Streaming)
        prompts = [brief.prompt for brief in briefs]
        for place, piece in writer.stream(prompts, decoding, cancelled=cancelled):
            if isinstance(piece, Prediction):
                whole = briefs[place].prediction(piece, self._briefing.settings)
                yield place, whole.text
                yield place, whole


class Synthesizer:
    """Has a writer refine a draft caption with the captions of similar cases; trains nothing.

    Members: ``draft``, a captioner; ``writer``, any language model, a model that sees, or an
    endpoint; optionally ``concepts``, a model that answers with concepts, whose names the writer is
    told, as the data set's own table has them. The form of the prompt is that of
    :mod:`vesalius.combine.synthesizer.synthesis`.
    """

    Settings: ClassVar[type[SynthesizerSettings]] = SynthesizerSettings
    needs_image: ClassVar[bool] = True
    wraps: ClassVar[Wraps] = Wraps(
        names=(DRAFT, WRITER), optional=(CONCEPTS,), tasks={CONCEPTS: CONCEPTS}
    )

    def __init__(self, settings: SynthesizerSettings) -> None:
        self.settings = settings

    @property
    def index_settings(self) -> Retrieve:
        """An index with whole captions."""
        return self.settings.index_settings()

    def check_members(self, members: Mapping[str, Any]) -> None:
        """RecipeError for a writer that would be shown what it cannot see, or not what it must."""
        takes, where = _takes_pictures(members[WRITER]), f"model.members.{WRITER}"
        if self.settings.seeing and takes == "none":
            raise RecipeError("sees no pictures", where=where, hint="leave out model.seeing")
        if not self.settings.seeing and takes == "required":
            what = "answers from pictures alone, and would be shown none"
            hint = "set model.seeing=true, or of an endpoint pictures: optional"
            raise RecipeError(what, where=where, hint=hint)

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """ModelError where there is nothing to tell of: no pictures, no answers in words."""
        del seed  # nothing is drawn
        for _, train in stages:
            require_cases(train, self.index_settings)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Write the index of the training cases, unless it is there; nothing is trained."""
        write_cases(run, lesson.train, self.index_settings)

    def load(self, run: Run, *, members: Mapping[str, Model]) -> SynthesizedAnswers:
        """The writer with its members and the run's cases; RunError where the index is cut."""
        return synthesized(briefing_of(run, self.settings, seeing=self.settings.seeing), members)


def synthesized(briefing: Briefing, members: Mapping[str, Model]) -> SynthesizedAnswers:
    """The model of a briefing and members, of which one writes."""
    warn_of_leaving(members[WRITER], "words")
    streams = isinstance(members[WRITER], Streaming)
    return (StreamedSynthesizedAnswers if streams else SynthesizedAnswers)(briefing, members)


def briefing_of(run: Run, settings: Synthesis, *, seeing: bool = False) -> Briefing:
    """How a run's writer is told of its cases; RunError where the index is none or is cut."""
    names = {concept: facts.name for concept, facts in run.concepts().items()}
    return Briefing(settings, Cases(whole_index(run)), names, seeing)


def _takes_pictures(writer: Any) -> Pictures:
    if isinstance(writer, Conversational):
        return writer.takes_pictures
    return "required" if writer.needs_image else "none"
