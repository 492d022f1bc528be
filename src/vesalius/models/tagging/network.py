"""The head of a tagger on frozen vectors, and the whole network where its encoder trains, too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from vesalius.cases.dialogue import Dialogue
from vesalius.models.encoders import Vision
from vesalius.models.feature_cache import Vectors
from vesalius.models.linear_head import Head
from vesalius.models.tagging.choosing import image_f1, one_threshold
from vesalius.models.tagging.losses import asymmetric, binary_cross_entropy
from vesalius.models.tagging.settings import TaggerSettings
from vesalius.models.tagging.space import ConceptSpace, Mask, Shares

Loss = Callable[[Tensor, Tensor], Tensor]


def loss_of(settings: TaggerSettings) -> Loss:
    """The loss that the settings name, of logits and targets (B, L)."""
    if settings.loss == "bce":
        return binary_cross_entropy
    return partial(
        asymmetric,
        gamma_negative=settings.gamma_negative,
        gamma_positive=settings.gamma_positive,
        clip=settings.clip,
    )


def new_head(width: int, space: ConceptSpace, images: int, *, dropout: float) -> Head:
    """A head that gives every concept its share of the ``images`` training images."""
    head = Head(width, 0, len(space), rank=0, dropout=dropout)
    shares = torch.tensor(space.counts, dtype=torch.float32) / images
    head.direct.bias.data.copy_(shares.clamp(1e-4, 1 - 1e-4).logit())
    return head


def logits(head: Head, vectors: Tensor) -> Tensor:
    """Concept logits (B, L) of image vectors (B, d); nothing is asked."""
    output: Tensor = head(vectors, vectors.new_zeros(len(vectors), 0))
    return output


@torch.inference_mode()
def probabilities(head: Head, vectors: Vectors) -> Shares:
    """The probability of each concept (n, L) for image vectors (n, d)."""
    head.eval()
    shares = logits(head, torch.from_numpy(vectors)).sigmoid().numpy()
    return np.asarray(shares, np.float32)


@dataclass(frozen=True, slots=True)
class TaggedVectors:
    """Image vectors (n, d) with their concepts (n, L), for the training of a head."""

    score_name: ClassVar[str] = "f1"

    vectors: Vectors
    targets: Mask
    criterion: Loss

    def __len__(self) -> int:
        return len(self.vectors)

    def loss(self, head: Head, some: Tensor) -> Tensor:
        """The mean loss of the images ``some``."""
        rows = some.numpy()
        targets = torch.from_numpy(self.targets[rows]).float()
        return self.criterion(logits(head, torch.from_numpy(self.vectors[rows])), targets)

    def score(self, head: Head) -> float:
        """F1 of an image, averaged, under the best threshold for all concepts."""
        if not len(self):
            return float("nan")
        shares = probabilities(head, self.vectors)
        return float(image_f1(shares >= one_threshold(shares, self.targets), self.targets).mean())


class TaggerNetwork(nn.Module):
    """Encoder and head in one: what `fine_tune` trains, from the head of frozen vectors.

    Source of that order: A. Kumar et al., Fine-tuning can distort pretrained features and
    underperform out-of-distribution, ICLR 2022, https://arxiv.org/abs/2202.10054.
    """

    def __init__(self, vision: Vision, head: Head, criterion: Loss) -> None:
        super().__init__()
        self.encoder, self.head = vision.network, head
        self._pool, self._criterion = vision.pool, criterion

    def forward(
        self, pixels: Tensor, study: Tensor, labels: Tensor | None = None, **_: Any
    ) -> dict[str, Tensor]:
        """Logits (B, L) of studies, and the loss where labels are given.

        ``pixels`` (P, 3, height, width) are their pictures, ``study`` (P,) whose each is: a study
        is the mean of its pictures' vectors, as it is when the tagger is asked.
        """
        each = nn.functional.normalize(self._pool(pixels).float(), dim=1)
        total = each.new_zeros(int(study.max()) + 1, each.shape[1])
        vectors = nn.functional.normalize(total.index_add(0, study, each), dim=1)
        output = {"logits": logits(self.head, vectors)}
        if labels is not None:
            output["loss"] = self._criterion(output["logits"], labels)
        return output


def collate(some: Sequence[tuple[Dialogue, Mask]], *, vision: Vision) -> dict[str, Any]:
    """Pixels of all the dialogues' pictures, whose each is, targets (B, L) and ``ids``."""
    shown = [(place, picture) for place, (one, _) in enumerate(some) for picture in one.study]
    pixels = [vision.prepare(picture.pixels()) for _, picture in shown]
    targets = np.stack([row for _, row in some])
    return {
        "pixels": torch.stack(pixels),
        "study": torch.tensor([place for place, _ in shown]),
        "labels": torch.from_numpy(targets).float(),
        "ids": [one.id for one, _ in some],
    }
