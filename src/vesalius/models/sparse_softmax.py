"""Softmax regression on named features: what can be known of an answer by counting words.

No torch, no picture network: it is small enough to be fitted five times within an audit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_matrix, hstack

Array = NDArray[np.float64]
Features = Sequence[Sequence[str]]
"""For each row the names of its features; a name stands for a feature of value 1."""
PENALTY = 1.0
"""Of the squared weights, against the summed cross-entropy: scikit-learn's default, C = 1."""
STEPS = 100
OFTEN = 2
"""A feature that fewer rows have is left out: it says nothing of another row."""
NOTHING: Array = np.zeros((0, 0))


@dataclass(frozen=True, slots=True)
class SparseSoftmax:
    """Fitted weights [features + numbers + 1, labels]."""

    vocabulary: dict[str, int]
    labels: tuple[str, ...]
    centre: Array
    scale: Array
    weights: Array

    @classmethod
    def fit(
        cls,
        features: Features,
        labels: Sequence[str],
        numbers: Array = NOTHING,
        *,
        penalty: float = PENALTY,
    ) -> SparseSoftmax:
        """Fit on rows of named features, and of ``numbers`` [rows, d], which are standardised.

        Minimises the summed cross-entropy plus half the penalised squared weights, by L-BFGS from
        zero: the same data give the same model.
        """
        rows = Counter(name for row in features for name in set(row))
        often = sorted(name for name, count in rows.items() if count >= OFTEN)
        names, target = np.unique(np.asarray(labels, dtype=object).astype(str), return_inverse=True)
        centre = numbers.mean(axis=0) if numbers.size else np.zeros(0)
        scale = np.maximum(numbers.std(axis=0), 1e-6) if numbers.size else np.ones(0)
        empty = cls(
            {name: at for at, name in enumerate(often)},
            tuple(names.tolist()),
            centre,
            scale,
            np.zeros((len(often) + len(centre) + 1, len(names))),
        )
        inputs = empty._matrix(features, numbers)
        weights = _minimised(inputs, target, empty.weights.shape, penalty)
        return cls(empty.vocabulary, empty.labels, centre, scale, weights)

    def probabilities(self, features: Features, numbers: Array = NOTHING) -> Array:
        """Of each label for each row, [rows, labels]."""
        return _softmax(np.asarray(self._matrix(features, numbers) @ self.weights))

    def predict(self, features: Features, numbers: Array = NOTHING) -> list[str]:
        """The likeliest label of each row."""
        best = self.probabilities(features, numbers).argmax(axis=1)
        return [self.labels[at] for at in best]

    def _matrix(self, features: Features, numbers: Array) -> csr_matrix:
        known = [
            sorted({self.vocabulary[name] for name in row if name in self.vocabulary})
            for row in features
        ]
        ends = np.cumsum([0, *map(len, known)])
        places = np.fromiter((at for row in known for at in row), np.int64, int(ends[-1]))
        shape = (len(features), len(self.vocabulary))
        words = csr_matrix((np.ones(len(places)), places, ends), shape=shape)
        ones = np.ones((len(features), 1))
        dense = (numbers - self.centre) / self.scale if len(self.centre) else ones[:, :0]
        return hstack([words, csr_matrix(dense), csr_matrix(ones)], format="csr")


def _minimised(
    inputs: csr_matrix, target: NDArray[np.intp], shape: tuple[int, int], penalty: float
) -> Array:
    rows = np.arange(len(target))
    free = np.ones((shape[0], 1))
    free[-1] = 0  # the intercept is not drawn to zero

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(shape)
        likely = _softmax(np.asarray(inputs @ weights))
        value = -np.log(np.maximum(likely[rows, target], 1e-300)).sum()
        likely[rows, target] -= 1
        slope = np.asarray(inputs.T @ likely) + penalty * free * weights
        return float(value + penalty / 2 * (free * weights**2).sum()), slope.ravel()

    start = np.zeros(shape[0] * shape[1])
    best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    weights: Array = best.x.reshape(shape)
    return weights


def _softmax(logits: Array) -> Array:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    likely: Array = powers / powers.sum(axis=1, keepdims=True)
    return likely
