"""The concepts that a tagger can give: those of its training split, and how often each is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Confidence, Prediction
from vesalius.errors import ModelError, RunError

MOST = 100
"""The challenge refuses more concepts an image."""
TOP_LABELS = 10
"""How many of the likeliest concepts a prediction lists with their probability."""
Shares = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class ConceptSpace:
    """Concepts, the most frequent first, and how many training pictures show each."""

    names: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def of(cls, dialogues: Sequence[Dialogue], *, least: int = 1) -> ConceptSpace:
        """Those that at least ``least`` dialogues have; ModelError where there are none."""
        counts = Counter(name for one in annotated(dialogues) for name in set(references(one)))
        rows = sorted((-count, name) for name, count in counts.items() if count >= least)
        if not rows:
            rarer = f", at least {least} times" if counts else ""
            raise ModelError(
                f"none of the training dialogues has a concept{rarer}",
                hint="data.task: concepts; for captions without codes data.options.concepts_from",
            )
        return cls(tuple(name for _, name in rows), tuple(-count for count, _ in rows))

    @classmethod
    def read(cls, content: Any, where: object) -> ConceptSpace:
        """From :meth:`table`; RunError if it is none."""
        try:
            return cls(tuple(content["names"]), tuple(int(count) for count in content["counts"]))
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"not a table of concepts: {error}", where=where) from error

    def table(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"names": list(self.names), "counts": list(self.counts)}

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Each concept's place."""
        return {name: place for place, name in enumerate(self.names)}

    def targets(self, dialogues: Sequence[Dialogue]) -> Mask:
        """(n, L): which concepts each dialogue's reference has; those outside are left out."""
        targets = np.zeros((len(dialogues), len(self)), np.bool_)
        for row, one in enumerate(dialogues):
            places = [self.places[name] for name in references(one) if name in self.places]
            targets[row, places] = True
        return targets

    def outside(self, dialogues: Sequence[Dialogue]) -> int:
        """How many reference concepts of the dialogues are not in the space."""
        return sum(name not in self.places for one in dialogues for name in set(references(one)))

    def prediction(
        self, dialogue: Dialogue, shares: Shares, chosen: Sequence[int], method: str
    ) -> Prediction:
        """The concepts at the places ``chosen``, with the likeliest ones' probabilities (L,).

        Its confidence is the mean probability of what was chosen; of nothing, how improbable the
        likeliest was.
        """
        likeliest = np.argsort(-shares, kind="stable")[:TOP_LABELS]
        listed = dict.fromkeys([*chosen, *likeliest.tolist()])
        sure = float(shares[list(chosen)].mean()) if len(chosen) else 1.0 - float(shares.max())
        return Prediction.of(
            dialogue,
            Answer(concepts=tuple(self.names[place] for place in chosen)),
            confidence=Confidence(min(1.0, max(0.0, sure)), method),
            scores={self.names[place]: float(shares[place]) for place in listed},
        )


def annotated(dialogues: Sequence[Dialogue]) -> list[Dialogue]:
    """The dialogues whose last question has concepts as a reference, be it that there are none."""
    return [d for d in dialogues if any(a.concepts is not None for a in d.question.answers)]


def references(dialogue: Dialogue) -> tuple[str, ...]:
    """The concepts of the first reference that has any annotated."""
    answers = dialogue.question.answers
    return next((a.concepts for a in answers if a.concepts is not None), ())
