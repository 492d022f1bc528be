"""A linear classifier on frozen encoders: how much of the answers is linearly there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.errors import RunError
from vesalius.models import Lesson
from vesalius.models.encoders import ImageEncoder, image_encoder
from vesalius.models.guard import require_pictures, require_studies
from vesalius.models.linear_head import Features, Head, Schedule, train_head
from vesalius.models.sentences import SentenceEncoder
from vesalius.models.wording import Example, examples, pictured, plain, pooled, spellings
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.settings import Frozen
from vesalius.system.files import read_json, write_atomic, write_json

WEIGHTS, LABELS = "linear_probe.safetensors", "labels.json"
TOP_LABELS = 5
"""How many labels of a prediction are listed with their probability."""


class LinearProbeSettings(Frozen):
    """The head and its training; the defaults were chosen on VQA-Med 2019's validation split."""

    encoder: str = "efficientnet_lite0"
    """The frozen image encoder (``vesalius.models.encoders.image_encoder``)."""
    sentences: str = "minilm"
    """The frozen sentence encoder."""
    blind: bool = False
    """Learn and answer from the question alone: a baseline that shows what needs no picture."""
    interactions: bool = True
    """Add a low-rank product of image and question, so that one can turn the other's meaning.

    On VQA-Med 2019's validation split it lifts exact matches from .53 to .55.
    """
    rank: int = Field(default=128, ge=1, le=4096)
    """Its rank."""
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)
    """Share of image features and products hidden from each training step."""
    learning_rate: float = Field(default=3e-4, gt=0.0)
    weight_decay: float = Field(default=0.1, ge=0.0)
    batch: int = Field(default=256, ge=1)
    epochs: int = Field(default=60, ge=1)
    patience: int = Field(default=10, ge=1)
    """Epochs without a better validation accuracy after which training ends."""

    def schedule(self) -> Schedule:
        """How the head is trained, without what it is made of."""
        return Schedule(
            self.learning_rate, self.weight_decay, self.batch, self.epochs, self.patience
        )


@dataclass(frozen=True, slots=True)
class LinearAnswers:
    """A fitted linear probe: it answers with one of the training answers."""

    reads_system: ClassVar[bool] = False

    head: Head
    labels: Sequence[str]
    images: ImageEncoder | None
    """None for a probe that answers from the question alone."""
    sentences: SentenceEncoder

    @property
    def needs_image(self) -> bool:
        """Unless it is blind."""
        return self.images is not None

    @torch.inference_mode()
    def predict(self, dialogues: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
        """One prediction per dialogue with its softmax probability and the five likeliest labels.

        The last question is looked at, and the pictures it is about: of several the mean of their
        vectors. ModelError names a dialogue
        without a picture before anything is encoded.
        """
        del decoding  # nothing is generated
        if not dialogues:
            return []
        studies = require_studies(dialogues) if self.needs_image else [() for _ in dialogues]
        images = _seen(self.images, studies)
        questions = self.sentences.embed([dialogue.question.text for dialogue in dialogues])
        logits = self.head(images, torch.from_numpy(questions))
        top = logits.softmax(dim=1).topk(min(TOP_LABELS, len(self.labels)), dim=1)
        rows = zip(dialogues, top.values.tolist(), top.indices.tolist(), strict=True)
        return [self._prediction(d, shares, labels) for d, shares, labels in rows]

    def _prediction(
        self, dialogue: Dialogue, shares: Sequence[float], labels: Sequence[int]
    ) -> Prediction:
        scores = {self.labels[at]: share for at, share in zip(labels, shares, strict=True)}
        best = Answer(text=self.labels[labels[0]])
        sure = Confidence(shares[0], "softmax probability")
        return Prediction.of(dialogue, best, confidence=sure, scores=scores)


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A linear softmax over the training answers on frozen image and question vectors.

    The label space is the training answers, of every category, and nothing else. Trained with
    AdamW, stopped by validation accuracy where there is a validation split.
    Source: G. Alain, Y. Bengio, Understanding intermediate layers using linear classifier probes,
    2016, https://arxiv.org/abs/1610.01644.
    """

    Settings: ClassVar[type[LinearProbeSettings]] = LinearProbeSettings

    settings: LinearProbeSettings

    @property
    def needs_image(self) -> bool:
        """Unless it is blind."""
        return not self.settings.blind

    def fit(self, lesson: Lesson, run: Run) -> None:
        """Encode once, train the head, keep the best epoch in ``weights/``; log every epoch.

        Early stopping counts exact labels itself, on the vectors it already has, instead of
        asking ``lesson.validate`` to encode every picture again each epoch.
        """
        train, validation = lesson.train, lesson.validation
        if self.needs_image:
            require_pictures([*train, *validation])
        taught = examples(train)
        run.note(**pooled(taught))
        spelled = spellings(example.answer for example in taught)
        names = {key: number for number, key in enumerate(sorted(spelled))}
        run.log.unlink(missing_ok=True)  # an interrupted fit starts again from nothing
        # Dropout draws from torch's one generator: it is lent for the fit and given back.
        with torch.random.fork_rng(devices=[]):
            encoders = self._encoders()
            features = _features(taught, names, *encoders)
            held_out = _features(examples(validation), names, *encoders) if validation else None
            torch.manual_seed(run.recipe().seed)
            head = self._head(features, len(names))
            train_head(head, features, held_out, self.settings.schedule(), run.record)
        write_atomic(run.weights / WEIGHTS, save(head.state_dict()))
        write_json(run.weights / LABELS, [spelled[key] for key in names])

    def load(self, run: Run) -> LinearAnswers:
        """The fitted probe of a run; RunError if its files do not belong together."""
        labels, path = read_json(run.weights / LABELS), run.weights / WEIGHTS
        try:
            weights = load_file(path)
            question = weights["question_mean"].numel()
            image = weights["image_mean"].numel()
            rank = len(weights["of_image.bias"]) if "of_image.bias" in weights else 0
            head = Head(image, question, len(labels), rank=rank, dropout=0.0)
            head.load_state_dict(weights)
        except (OSError, SafetensorError, KeyError, RuntimeError, TypeError) as error:
            raise RunError(f"not the head for these labels: {error}", where=path) from error
        return LinearAnswers(head.eval(), tuple(str(label) for label in labels), *self._encoders())

    def _encoders(self) -> tuple[ImageEncoder | None, SentenceEncoder]:
        images = None if self.settings.blind else image_encoder(self.settings.encoder)
        return images, SentenceEncoder(self.settings.sentences)

    def _head(self, features: Features, labels: int) -> Head:
        rank = self.settings.rank if self.settings.interactions and not self.settings.blind else 0
        widths = features.images.shape[1], features.questions.shape[1]
        head = Head(*widths, labels, rank=rank, dropout=self.settings.dropout)
        # A question counts as often as it is asked, an image once.
        head.standardise(features.images, features.questions[features.rows[:, 1]])
        return head


def _features(
    taught: Sequence[Example],
    names: Mapping[str, int],
    images: ImageEncoder | None,
    sentences: SentenceEncoder,
) -> Features:
    """The examples as vectors, each distinct study and question encoded and held once."""
    asked = pictured(taught) if images else taught
    studies = list(dict.fromkeys(one.pictures for one in asked))
    questions = list(dict.fromkeys(one.question for one in asked))
    study_rows = {study: row for row, study in enumerate(studies)}
    question_rows = {question: row for row, question in enumerate(questions)}
    return Features(
        images=_seen(images, studies),
        questions=torch.from_numpy(sentences.embed(questions)),
        rows=torch.tensor(
            [(study_rows[one.pictures], question_rows[one.question]) for one in asked]
        ),
        labels=torch.tensor([names.get(plain(one.answer), -1) for one in asked]),
    )


def _seen(images: ImageEncoder | None, studies: Sequence[Sequence[Picture]]) -> Tensor:
    """The studies' vectors (n, d); (n, 0) without an encoder."""
    if images is None:
        return torch.zeros(len(studies), 0)
    return torch.from_numpy(images.embed_studies(studies))
