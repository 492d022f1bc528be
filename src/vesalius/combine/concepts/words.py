"""How far a text says what its concepts are called: word by word, by sentence vectors of words.

Source of the measure: P. Kaliosis et al., A data-driven guided decoding mechanism for diagnostic
captioning, Findings of ACL 2024, https://arxiv.org/abs/2406.14164 (DMMCS). Published with FastText
vectors of words; here the packaged MiniLM reads each word by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from vesalius.language.script import words

Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
"""Words -> unit vectors (n, d)."""
UNSEEN = 0.5
"""The median similarity of a concept that no training caption has."""


class ConceptWords:
    """Similarities of texts' words with concepts' names; each word is encoded once."""

    def __init__(self, embed: Embed) -> None:
        self._embed = embed
        self._words: dict[str, Vectors] = {}
        self._names: dict[str, Vectors] = {}

    def similarities(self, text: Iterable[str], names: Sequence[str]) -> Vectors:
        """The largest cosine of each name with any word of a text (len(names),); 0 for no word.

        A name of several words is the mean of their vectors.
        """
        some = list(dict.fromkeys(text))
        if not some or not names:
            return np.zeros(len(names), np.float32)
        self._learn(some)
        vectors = np.stack([self._words[word] for word in some])
        return np.asarray((np.stack([*map(self._name, names)]) @ vectors.T).max(1), np.float32)

    def _name(self, name: str) -> Vectors:
        if name not in self._names:
            parts = words(name) or [name]
            self._learn(parts)
            mean = np.mean([self._words[part] for part in parts], axis=0)
            self._names[name] = np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12))
        return self._names[name]

    def _learn(self, some: Sequence[str]) -> None:
        new = [word for word in dict.fromkeys(some) if word not in self._words]
        if new:
            self._words |= zip(new, self._embed(new), strict=True)


def medians(
    captions: Iterable[tuple[str, Sequence[str]]], measure: ConceptWords
) -> dict[str, float]:
    """For each name the median, over the captions whose case has it, of its similarity to them."""
    values: defaultdict[str, list[float]] = defaultdict(list)
    for text, names in captions:
        near = measure.similarities(words(text), names)
        for name, value in zip(names, near.tolist(), strict=True):
            values[name].append(value)
    return {name: float(np.median(some)) for name, some in sorted(values.items())}


def penalty(near: Vectors, names: Sequence[str], wanted: Mapping[str, float]) -> float:
    """The sum over concepts of the squared distance of a text's similarity from the median one."""
    goal = np.array([wanted.get(name, UNSEEN) for name in names], np.float32)
    return float(((near - goal) ** 2).sum()) if len(names) else 0.0
