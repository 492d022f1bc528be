"""How a tagger is fitted: its head, its encoder where that trains, its thresholds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vesalius.cases.dialogue import Dialogue
from vesalius.models import Lesson
from vesalius.models.encoders import ImageEncoder, Vision
from vesalius.models.linear_head import Head, train_head
from vesalius.models.tagging.answering import TaggedAnswers
from vesalius.models.tagging.choosing import ConceptRule, fit_rule
from vesalius.models.tagging.network import (
    TaggedVectors,
    TaggerNetwork,
    collate,
    loss_of,
    new_head,
    probabilities,
)
from vesalius.models.tagging.settings import TaggerSettings
from vesalius.models.tagging.space import ConceptSpace, annotated
from vesalius.run import Run
from vesalius.system.files import append_lines
from vesalius.training.device import resolve_device
from vesalius.training.loop import train as run_training
from vesalius.training.parts import resolve_dtype

HEAD_LOG = "head.jsonl"
"""The learning curve of the head, where that of the run is the encoder's."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """What a tagger is fitted on, with the concepts it will know."""

    settings: TaggerSettings
    run: Run
    train: Sequence[Dialogue]
    validation: Sequence[Dialogue]
    space: ConceptSpace

    @classmethod
    def of(cls, settings: TaggerSettings, lesson: Lesson, run: Run) -> Fitting:
        """The annotated dialogues of a lesson; ModelError if none has a concept."""
        train, validation = annotated(lesson.train), annotated(lesson.validation)
        return cls(settings, run, train, validation, ConceptSpace.of(train, least=settings.least))

    def facts(self) -> dict[str, Any]:
        """What the run notes of the concepts: how many, and how many training leaves out."""
        return {
            "labels": len(self.space),
            "rarer_concepts": self.space.outside(self.train),
            "unknown_validation_concepts": self.space.outside(self.validation),
            "thresholds": "validation" if self.validation else "0.5: no validation split",
        }

    def head(self, encoder: ImageEncoder) -> Head:
        """The head on the frozen vectors of an encoder."""
        settings = self.settings
        taught = self._vectors(self.train, encoder)
        held_out = self._vectors(self.validation, encoder) if self.validation else None
        width = taught.vectors.shape[1]
        head = new_head(width, self.space, len(taught), dropout=settings.dropout)
        vectors = torch.from_numpy(taught.vectors)
        head.standardise(vectors, vectors.new_zeros(len(vectors), 0))
        log = self.run.path / HEAD_LOG if settings.fine_tune else self.run.log
        log.unlink(missing_ok=True)  # an interrupted fit starts again from nothing
        record = partial(_append, log) if settings.fine_tune else self.run.record
        train_head(head, taught, held_out, settings.schedule(), record)
        return head

    def fine_tune(
        self, network: Vision, head: Head, validate: Callable[[ImageEncoder], float] | None
    ) -> ImageEncoder:
        """Train encoder and head together; the encoder as it is then.

        A killed training goes on from its last checkpoint. ``validate`` scores the head with the
        encoder as it is at that time.
        """
        device = resolve_device(self.settings.device)
        whole = TaggerNetwork(network, head, loss_of(self.settings))
        # Checkpoints hold no tensors in another order (channels last).
        whole.to(memory_format=torch.contiguous_format)
        whole.to(device).requires_grad_(requires_grad=True)

        def score(watched: Callable[[ImageEncoder], float]) -> dict[str, float]:
            head.cpu()
            value = watched(network.encoder())
            whole.to(device).requires_grad_(requires_grad=True).train()
            return {"validation": value}

        dtype = resolve_dtype(self.settings.precision, training=True)
        facts = run_training(
            whole,
            list(zip(self.train, self.space.targets(self.train), strict=True)),
            partial(collate, vision=network),
            self.settings.training,
            self.run,
            dtype=dtype,
            seed=self.run.recipe().seed,
            validate=None if validate is None else partial(score, validate),
        )
        self.run.note(**facts, dtype=str(dtype).removeprefix("torch."))
        head.cpu().eval()
        return network.encoder()

    def tagger(self, head: Head, encoder: ImageEncoder) -> TaggedAnswers:
        """The head with the rule that is best for it on validation."""
        return TaggedAnswers(encoder, head, self.space, self._rule(head, encoder))

    def _rule(self, head: Head, encoder: ImageEncoder) -> ConceptRule:
        if not self.validation:
            return ConceptRule(np.full(len(self.space), 0.5), self.settings.most)
        studies = [one.study for one in self.validation]
        return fit_rule(
            probabilities(head, encoder.embed_studies(studies)),
            self.space.targets(self.validation),
            [one.group for one in self.validation],
            floor=self.settings.floor,
            level=self.settings.count_level,
            most=self.settings.most,
        )

    def _vectors(self, dialogues: Sequence[Dialogue], encoder: ImageEncoder) -> TaggedVectors:
        vectors = encoder.embed_studies([one.study for one in dialogues])
        return TaggedVectors(vectors, self.space.targets(dialogues), loss_of(self.settings))


def _append(log: Path, row: Mapping[str, float]) -> None:
    append_lines(log, [row])
