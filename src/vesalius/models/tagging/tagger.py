"""The tagger: which of the training set's concepts a picture shows, by an encoder and a head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from vesalius.errors import RunError
from vesalius.models import Lesson
from vesalius.models.encoders import ImageEncoder, Vision, image_encoder, vision
from vesalius.models.guard import require_pictures
from vesalius.models.linear_head import Head
from vesalius.models.tagging.answering import TaggedAnswers
from vesalius.models.tagging.choosing import ConceptRule
from vesalius.models.tagging.fitting import Fitting
from vesalius.models.tagging.settings import TaggerSettings
from vesalius.models.tagging.space import ConceptSpace
from vesalius.run import Run
from vesalius.system.files import read_json, write_atomic, write_json
from vesalius.training.device import resolve_device
from vesalius.training.parts import resolve_dtype
from vesalius.training.preflight import require
from vesalius.training.processes import on_main

HEAD, ENCODER, TABLE = "head.safetensors", "encoder.safetensors", "concepts.json"


@dataclass(frozen=True, slots=True)
class Tagger:
    """Concept detection by an image encoder and a linear head.

    Frozen by default; with ``fine_tune`` the encoder is trained from there. The concepts are those
    of the training split and nothing else; thresholds and the number of concepts are chosen on the
    validation split, where there is one.
    """

    Settings: ClassVar[type[TaggerSettings]] = TaggerSettings
    needs_image: ClassVar[bool] = True
    reads_system: ClassVar[bool] = False

    settings: TaggerSettings

    @classmethod
    def tiny(cls, block: Mapping[str, Any]) -> dict[str, Any]:
        """The block with a few epochs of its head."""
        return {**block, "head_epochs": 3}

    def check(self, *, validated: bool) -> None:
        """Refuse, before any data are read, a device or training that cannot be had here."""
        resolve_device(self.settings.device)
        if self.settings.fine_tune:
            dtype = resolve_dtype(self.settings.precision, training=True)
            require(self.settings.training, dtype=dtype, validated=validated)

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Fit the head on frozen vectors, then the encoder where that is wanted, then the rule."""
        require_pictures([*lesson.train, *lesson.validation])
        fitting = Fitting.of(self.settings, lesson, run)
        network = vision(self.settings.encoder) if self.settings.fine_tune else None
        encoder = image_encoder(self.settings.encoder) if network is None else network.encoder()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(run.recipe().seed)
            head = fitting.head(encoder)
            if network is not None:
                validate = lesson.validate
                encoder = fitting.fine_tune(
                    network, head, validate and (lambda now: validate(fitting.tagger(head, now)))
                )
        answers = fitting.tagger(head, encoder)
        on_main(partial(self._save, answers, network, run))
        run.note(**fitting.facts())

    def load(self, run: Run) -> TaggedAnswers:
        """The fitted tagger of a run; RunError if its files do not belong together."""
        table, path = read_json(run.weights / TABLE), run.weights / HEAD
        space = ConceptSpace.read(table, run.weights / TABLE)
        rule = ConceptRule.read(table.get("rule"), len(space), run.weights / TABLE)
        try:
            weights = load_file(path)
            head = Head(weights["image_mean"].numel(), 0, len(space), rank=0, dropout=0.0)
            head.load_state_dict(weights)
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise RunError(f"not the head for these concepts: {error}", where=path) from error
        return TaggedAnswers(self._encoder(run), head.eval(), space, rule)

    def _save(self, answers: TaggedAnswers, network: Vision | None, run: Run) -> None:
        write_atomic(run.weights / HEAD, save(answers.head.state_dict()))
        if network is not None:
            state = {name: one.contiguous() for name, one in network.network.state_dict().items()}
            write_atomic(run.weights / ENCODER, save(state))
        table = {**answers.space.table(), "rule": answers.rule.table()}
        write_json(run.weights / TABLE, table)

    def _encoder(self, run: Run) -> ImageEncoder:
        if not self.settings.fine_tune:
            return image_encoder(self.settings.encoder)
        network, path = vision(self.settings.encoder), run.weights / ENCODER
        try:
            network.network.load_state_dict(load_file(path))
        except (OSError, SafetensorError, RuntimeError) as error:
            raise RunError(f"not the encoder of this tagger: {error}", where=path) from error
        return network.encoder()
