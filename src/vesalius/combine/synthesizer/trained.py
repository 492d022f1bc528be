"""The trained synthesizer: a language model that learns to refine drafts with similar cases."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from vesalius.cases.dialogue import Dialogue
from vesalius.combine.prompting import require_cases, write_cases
from vesalius.combine.synthesizer.briefing import CONCEPTS, DRAFT, WRITER, writer_dialogue
from vesalius.combine.synthesizer.learner import (
    SynthesizedAnswers,
    briefing_of,
    synthesized,
)
from vesalius.combine.synthesizer.synthesis import Synthesis, writer_prompt
from vesalius.errors import TooLong
from vesalius.models import Lesson, Model, Wraps
from vesalius.models.generative import preflight
from vesalius.models.text_only.learner import Text
from vesalius.models.text_only.settings import TextSettings
from vesalius.models.wording import examples
from vesalius.recipe import Retrieve
from vesalius.run import Run

log = logging.getLogger(__name__)


class TrainedSynthesizerSettings(TextSettings, Synthesis):
    """What the writer is told, and the language model that learns to write."""


class TrainedSynthesizer(Text):
    """Has a language model learn captions from drafts and the captions of similar cases.

    Its drafts, and concepts where there is a member for them, are answers of models that were
    fitted without the case (``folds``); its neighbours are never of the case's patient. A prompt is
    made by one function for training and for asking.
    """

    Settings: ClassVar[type[TrainedSynthesizerSettings]] = TrainedSynthesizerSettings
    needs_image: ClassVar[bool] = True  # type: ignore[misc]
    steerable: ClassVar[bool] = False  # its draft is another model's
    wraps: ClassVar[Wraps] = Wraps(
        names=(DRAFT,), optional=(CONCEPTS,), tasks={CONCEPTS: CONCEPTS}, learns=True
    )

    settings: TrainedSynthesizerSettings

    @property
    def index_settings(self) -> Retrieve:
        """An index with whole captions."""
        return self.settings.index_settings()

    def check(self, *, validated: bool) -> None:
        """Refuse what a language model without validation would."""
        super().check(validated=False)  # no drafts of the validation split are made

    def rehearse(self, stages: Sequence[tuple[Any, Sequence[Dialogue]]], seed: int) -> None:
        """Refuse training cases that are none to tell of, and prompts that will be too long."""
        for _, train in stages:
            require_cases(train, self.index_settings)
        super().rehearse([(one, self._rehearsed(train)) for one, train in stages], seed)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Index the training cases, then learn from out-of-fold answers and their neighbours."""
        write_cases(run, lesson.train, self.index_settings)
        if lesson.validate is not None:
            log.warning("no drafts of the validation split are made, so nothing is validated")
        fits, briefing = self._fits(lesson.train), briefing_of(run, self.settings)
        briefs = briefing.briefs(lesson.train, lesson.answers, fits)
        prompts = [brief.prompt for brief in briefs]
        super().fit(replace(lesson, train=prompts, validation=(), validate=None), run)

    def load(  # type: ignore[override]
        self, run: Run, quantization: Any = None, *, members: Mapping[str, Model]
    ) -> SynthesizedAnswers:
        """The fitted writer with its members and the run's cases."""
        writer = super().load(run, quantization)
        return synthesized(briefing_of(run, self.settings), {**members, WRITER: writer})

    def plan(self, train: Sequence[Dialogue], seed: int) -> dict[str, Any]:
        """What a fit would do, told of prompts as long as these will be."""
        return super().plan(self._rehearsed(train), seed)

    def mask(self, train: Sequence[Dialogue], seed: int) -> Iterator[tuple[str, bool]]:
        """(token, bears loss) along the first training row, a caption in the place of a draft."""
        yield from super().mask(self._rehearsed(train), seed)

    def _fits(self, train: Sequence[Dialogue]) -> Callable[[Dialogue], bool]:
        """Whether a prompt with its caption has room, by the model's own tokenizer."""
        outline = preflight.outline(self.blueprint, self._rehearsed(train))
        network = self.blueprint.network(*outline)

        def fits(prompt: Dialogue) -> bool:
            try:
                preflight.check_rows([prompt], network, sample=0)
            except TooLong:
                return False
            return True

        return fits

    def _rehearsed(self, train: Sequence[Dialogue]) -> list[Dialogue]:
        """Prompts before there are drafts: each case's own caption, and those that follow it."""
        texts = [one.answer for one in examples(train)]
        return [
            writer_dialogue(dialogue, self._stand_in(texts, place), seeing=False)
            for place, dialogue in enumerate(train)
        ]

    def _stand_in(self, texts: Sequence[str], place: int) -> str:
        others = [texts[(place + n) % len(texts)] for n in range(1, self.settings.neighbours + 1)]
        return writer_prompt(texts[place % len(texts)], others, (), self.settings)
