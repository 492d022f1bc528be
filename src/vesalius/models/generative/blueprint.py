"""What a recipe's block says of a generative model: its settings, and where it comes from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from transformers import PreTrainedModel

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.tasks import Content, content_of, task_of
from vesalius.models.box_convention import BoxConvention
from vesalius.models.codecs import WORDS, Replies, classes_in, require_answers, written
from vesalius.models.generative.features import FeatureStore, require_keepable
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.rows.encoder import Prefixes
from vesalius.models.generative.rows.groups import Groups
from vesalius.models.generative.settings import Settings, Trained
from vesalius.models.generative.weights.origin import Origin
from vesalius.run import Run
from vesalius.training.device import resolve_device
from vesalius.training.parts import resolve_dtype

_ONCE_SHARES = frozenset({"gemma3", "gemma4", "internvl"})
"""Families whose boxes were shares of the sides before runs noted how they write them."""


@dataclass(frozen=True, slots=True)
class Blueprint(ABC):
    """From which networks are built, to be trained or asked."""

    settings: Trained
    origin: Origin
    needs_image: ClassVar[bool] = True
    """Whether a dialogue without a picture is refused."""

    @property
    def dtype(self) -> torch.dtype:
        """What training computes in."""
        return resolve_dtype(self.settings.precision, training=True)

    @property
    def trained(self) -> str | None:
        """Where below ``weights`` the trained weights go; None if nothing trains."""
        roles = self.settings.roles.values()
        whole = "model" if "full" in roles else None
        return "adapter" if "adapter" in roles else whole

    def where_to_answer(self) -> tuple[torch.dtype, torch.device]:
        """What answering computes in, and on which device.

        A run that was fitted on a GPU may be asked where there is none.
        """
        device = resolve_device("cpu" if self.settings.device == "cpu" else "auto")
        return resolve_dtype("auto", training=False), device

    def answers(self, train: Sequence[Dialogue], run: Run | None = None) -> Replies:
        """What replies hold, of boxes their convention and classes.

        Of a run without dialogues, which was fitted: as it noted (:meth:`note_answers`).
        """
        content = self._content(train, run)
        if content != "boxes":
            return Replies(content)
        family = self.origin.family()
        if run is None or train:
            convention = self.settings.boxes or family.boxes
            return Replies(content, convention, classes_in(train))
        if noted := run.status().get("boxes"):
            classes = noted["classes"]
            convention = BoxConvention(**noted["convention"])
            return Replies(content, convention, None if classes is None else tuple(classes))
        return Replies(content, BoxConvention() if family.name in _ONCE_SHARES else family.boxes)

    def note_answers(self, run: Run, answers: Replies) -> None:
        """Note how the run writes boxes, so that it reads them so whatever becomes of the table."""
        if answers.content == "boxes":
            convention = answers.convention.model_dump()
            run.note(boxes={"convention": convention, "classes": answers.classes})

    def _content(self, train: Sequence[Dialogue], run: Run | None) -> Content:
        """What replies say: as the recipe tells, else what its task's references hold."""
        if self.settings.answers is not None:
            return self.settings.answers
        if run is not None:
            return task_of(run.recipe().data.task).references
        return content_of(train[0].question.answers[0]) if train else "text"

    def written(self, train: Sequence[Dialogue], answers: Replies) -> Sequence[Dialogue]:
        """The dialogues with the texts that a tokenizer of their own must write."""
        if answers.content == "text":
            return train
        codec = answers.codec()
        require_answers(train, codec)
        return [written(dialogue.closed(), codec) for dialogue in train]

    @abstractmethod
    def network(self, model: PreTrainedModel, processor: Any, answers: Replies = WORDS) -> Network:
        """A model and its processor as they are trained and asked."""

    @abstractmethod
    def groups(
        self, train: Sequence[Dialogue], network: Network, prefixes: Prefixes | None = None
    ) -> Groups:
        """What a fit on these dialogues iterates over; ``prefixes`` as in ``rows_of``."""

    @abstractmethod
    def require(self) -> None:
        """RecipeError for settings that do not go with the origin; no weights are read for it."""

    def prefixes(self, network: Network) -> Prefixes | None:
        """What makes tokens of a prompt's head, where that is not the network's encoder."""
        return None


@dataclass(frozen=True, slots=True)
class Pictured(Blueprint):
    """The blueprint of a model that sees pictures."""

    settings: Settings

    def network(self, model: PreTrainedModel, processor: Any, answers: Replies = WORDS) -> Network:
        """A model and its processor as they are trained and asked."""
        return assemble(
            model,
            processor,
            self.origin.family(),
            max_length=self.settings.max_length,
            most_image_tokens=self.settings.image_tokens.max,
            square=self.origin.square,
            chat_template=self.settings.chat_template,
            answers=answers,
        )

    def require(self) -> None:
        """RecipeError where features cannot be kept that should be."""
        settings, origin = self.settings, self.origin
        if settings.keep_features is not None:
            require_keepable(origin.family(), settings.roles, settings.training.workers)

    def prefixes(self, network: Network) -> Prefixes | None:
        """The kept features, where a folder is named for them."""
        if self.settings.keep_features is None:
            return None
        return FeatureStore(network, Path(self.settings.keep_features)).prefix

    def groups(
        self, train: Sequence[Dialogue], network: Network, prefixes: Prefixes | None = None
    ) -> Groups:
        """What a fit on these dialogues iterates over; ``prefixes`` as in ``rows_of``."""
        return Groups(
            train,
            network.encoder,
            share=self.settings.share_image,
            per_row=self.settings.questions_per_row,
            max_length=self.settings.max_length,
            prefixes=prefixes,
        )
