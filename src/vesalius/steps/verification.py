"""Verification: what exported weights answer, beside the run as it was scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError
from vesalius.models import Model
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.steps.prepare import dialogues
from vesalius.training.memory import release

AS_SCORED, PLAIN, MERGED = "the run asked again", "base and adapter in fp32", "merged in fp32"
"""What answers are compared of, in this order; then the merged weights in each rounding."""
BASES = {"nf4": "the base in 4 bits (NF4)", None: "the base as it is"}
"""What a run's base may be asked in, and how that is written."""


@runtime_checkable
class Exportable(Protocol):
    """A learner whose fitted weights can be written for others to load."""

    def load(self, run: Run, *, merge: bool = True, exact: bool = False) -> Model:
        """The fitted model, its adapters merged or kept as layers; ``exact`` computes in fp32."""

    def write(self, run: Run, folder: Path, *, merge: bool, dtype: str = "fp32") -> None:
        """Weights, configuration and processor as plain transformers (or PEFT) reads them."""

    def read(self, run: Run, folder: Path, quantization: str | None = None) -> Model:
        """What :meth:`write` wrote, merged, as anybody would load it."""


@dataclass(frozen=True, slots=True)
class Verified:
    """Answers to held-out items: of how many, and how many equal those that were scored.

    A run in 4 bits, its adapter on the plain base, and merged weights are three models: none of
    them stands for another.
    """

    checked: int = 0
    """Items that the merged weights answered exactly as base and adapter do, both in fp32."""
    scored: int = 0
    """Items whose answers in the run's predictions are what ``equal`` counts against."""
    stored: bool = False
    """Whether these are the run's predictions; else it was asked for them now."""
    equal: Mapping[str, int] = field(default_factory=dict)
    """How many are the same again, by what was asked: the run itself, base and adapter in full
    precision, merged weights, and these in ``bf16``, ``fp16`` or ``nf4``."""

    @property
    def counts(self) -> str:
        """One clause on the answers that are those of the run as it was scored."""
        whose = "scored answers" if self.stored else "answers of the run"
        found = ", ".join(f"{name} {count}" for name, count in self.equal.items())
        return f"of {self.scored} {whose} equal: {found}"


NOTHING = Verified()


def scored_in(run: Run) -> str | None:
    """The quantisation of the model that gave the run's predictions; None for a plain base."""
    noted = run.status().get("predictions", {}).get("test", {}).get("model", "").split()
    if "none" in noted or "nf4" in noted:
        return "nf4" if "nf4" in noted else None
    quantization: str | None = run.recipe().model.get("quantization")
    return quantization


def verified(
    run: Run, learner: Exportable, written: Path, check: int, roundings: Sequence[str] | None
) -> Verified:
    """What the weights in ``written`` answer to ``check`` held-out items.

    ``roundings``: in what else than fp32 they were saved or shall be asked (``bf16``, ``nf4``);
    None for an adapter alone. ModelError if merged weights do not answer as base and adapter do,
    both in fp32. Everything is counted against the answers that were scored: those stored with the
    run, else what it answers now.
    """
    data, decoding = run.recipe().data, run.recipe().decoding
    items = list(islice(dialogues(data, data.splits.test), check))

    def answers_of(load: Callable[[], Model]) -> list[Prediction]:
        release()
        return answers(load(), items, decoding)

    plain = answers_of(lambda: learner.load(run, merge=False, exact=True))
    found = {PLAIN: plain}
    if roundings is not None:
        whole = not any(name != "nf4" for name in roundings)
        merged = answers_of(
            lambda: learner.read(run, written) if whole else learner.load(run, exact=True)
        )
        _require_same(plain, merged, run)
        found[MERGED] = merged
        for name in roundings:
            four = "nf4" if name == "nf4" else None
            found[name] = answers_of(partial(learner.read, run, written, quantization=four))
    again = answers_of(lambda: learner.load(run))
    own = _stored(run, items)
    against = own or {p.id: p.answer for p in again}
    equal = {name: _equal(against, some) for name, some in {AS_SCORED: again, **found}.items()}
    checked = 0 if roundings is None else len(items)
    return Verified(checked, len(against), bool(own), equal)


def answers(model: Any, items: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
    """A model's answers to the items, in order."""
    found: list[Prediction] = model.predict(items, decoding)
    return found


def differing(expected: Sequence[Prediction], found: Sequence[Prediction]) -> list[str]:
    """The ids of answers that differ: in their text, a box, or a concept."""
    return [p.id for p, other in zip(expected, found, strict=True) if p.answer != other.answer]


def _stored(run: Run, items: Sequence[Dialogue]) -> dict[str, Answer]:
    """The run's predictions of the items, those that there are."""
    if not run.predictions_file().exists():
        return {}
    wanted = {dialogue.id for dialogue in items}
    return {p.id: p.answer for p in run.predictions() if p.id in wanted}


def _equal(against: Mapping[str, Answer], found: Sequence[Prediction]) -> int:
    return sum(p.id in against and against[p.id] == p.answer for p in found)


def _require_same(plain: Sequence[Prediction], merged: Sequence[Prediction], run: Run) -> None:
    if others := differing(plain, merged):
        raise ModelError(
            f"the merged weights answer {len(others)} of {len(plain)} items differently from "
            f"base and adapter, {others[0]} first",
            where=run.path,
            hint="nothing was exported",
        )
