"""The head of a linear probe and its training, on vectors that were made beforehand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Schedule:
    """AdamW's settings, and when to stop."""

    learning_rate: float
    weight_decay: float
    batch: int
    epochs: int
    patience: int


class Head(nn.Module):
    """Image and question vectors to label logits: linear in each, and in a product of both.

    Each feature is standardised by the training set's mean and deviation, which travel with the
    weights. Source of the product: J.-H. Kim et al., Hadamard product for low-rank bilinear
    pooling, ICLR 2017, https://arxiv.org/abs/1610.04325.
    """

    image_mean: Tensor
    image_deviation: Tensor
    question_mean: Tensor
    question_deviation: Tensor

    def __init__(
        self, image: int, question: int, labels: int, *, rank: int, dropout: float
    ) -> None:
        super().__init__()
        for name, width in (("image", image), ("question", question)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_deviation", torch.ones(width))
        self.rank = rank
        self.drop = nn.Dropout(dropout)
        self.direct = nn.Linear(image + question, labels)
        nn.init.zeros_(self.direct.weight)
        if rank:
            self.of_image, self.of_question = nn.Linear(image, rank), nn.Linear(question, rank)
            self.product = nn.Linear(rank, labels, bias=False)
            nn.init.zeros_(self.product.weight)

    def standardise(self, images: Tensor, questions: Tensor) -> None:
        """Take each feature's mean and deviation from training vectors (m, d)."""
        for name, vectors in (("image", images), ("question", questions)):
            if not vectors.shape[1]:
                continue  # a head that is asked nothing
            deviation = vectors.std(0, correction=0)
            self.get_buffer(f"{name}_mean").copy_(vectors.mean(0))
            # What never varied in training says nothing, and must not explode when it does.
            scale = deviation.masked_fill(deviation < 1e-4, torch.inf)
            self.get_buffer(f"{name}_deviation").copy_(scale)

    def forward(self, images: Tensor, questions: Tensor) -> Tensor:
        """Vectors (B, image) and (B, question) -> logits (B, labels)."""
        seen = self.drop((images - self.image_mean) / self.image_deviation)
        question = (questions - self.question_mean) / self.question_deviation
        logits: Tensor = self.direct(torch.cat([seen, question], dim=1))
        if self.rank:
            logits = logits + self.product(
                self.drop(self.of_image(seen) * self.of_question(question))
            )
        return logits


class Taught(Protocol):
    """Examples that a head can be trained on, and scored on where they are held out."""

    score_name: ClassVar[str]
    """What the score is called in the log, after ``validation_``; a higher one is better."""

    def __len__(self) -> int:
        """How many there are."""

    def loss(self, head: Head, some: Tensor) -> Tensor:
        """The mean loss over the examples ``some``."""

    def score(self, head: Head) -> float:
        """How well the head does on all of them; NaN where there are none."""


@dataclass(frozen=True, slots=True)
class Features:
    """Distinct image and question vectors, and for each example its rows in them and its label.

    A label of -1 is an answer that training does not have: it always counts as wrong.
    """

    score_name: ClassVar[str] = "accuracy"

    images: Tensor
    questions: Tensor
    rows: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def loss(self, head: Head, some: Tensor) -> Tensor:
        """Cross-entropy in nats."""
        return nn.functional.cross_entropy(self.logits(head, some), self.labels[some])

    def logits(self, head: Head, some: Tensor) -> Tensor:
        """The head's logits for the examples ``some``, (len(some), labels)."""
        image, question = self.rows[some].unbind(1)
        output: Tensor = head(self.images[image], self.questions[question])
        return output

    @torch.inference_mode()
    def score(self, head: Head) -> float:
        """The share of examples whose likeliest label is right; NaN if there are none."""
        head.eval()
        parts = torch.split(torch.arange(len(self.labels)), 4096)
        right = [(self.logits(head, p).argmax(1) == self.labels[p]).float() for p in parts]
        return float(torch.cat(right).mean()) if len(self.labels) else float("nan")


def train_head(
    head: Head,
    train: Taught,
    validation: Taught | None,
    schedule: Schedule,
    record: Callable[[Mapping[str, float]], None],
) -> None:
    """Fit ``head`` in place and leave it at its best validation epoch.

    Without validation all epochs are run and the last one stays. ``record`` gets a row an
    epoch: optimiser steps, mean loss, validation score. Order and dropout come from torch's global
    generator, which the caller seeds.
    """
    optimiser = torch.optim.AdamW(
        head.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    best, best_state, since, step = -1.0, head.state_dict(), 0, 0
    for _ in range(schedule.epochs):
        head.train()
        total = 0.0
        for some in torch.split(torch.randperm(len(train)), schedule.batch):
            loss = train.loss(head, some)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            total += loss.item() * len(some)
            step += 1
        line: dict[str, float] = {"step": step, "loss": total / len(train)}
        if validation is None:
            record(line)
            continue
        score = validation.score(head)
        record(line | {f"validation_{validation.score_name}": score})
        since += 1
        if score > best:
            best, since = score, 0
            best_state = {name: tensor.clone() for name, tensor in head.state_dict().items()}
        if since >= schedule.patience:
            break
    head.load_state_dict(best_state)
    head.eval()
