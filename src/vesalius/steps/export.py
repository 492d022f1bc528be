"""Export: a run's weights as a folder that others load, verified before anybody relies on it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, RunError
from vesalius.models import Model
from vesalius.models.build import build
from vesalius.recipe import Decoding
from vesalius.run import Run
from vesalius.steps import portable
from vesalius.steps.export_card import model_card
from vesalius.steps.load import load
from vesalius.steps.prepare import dialogues
from vesalius.system.files import write_atomic
from vesalius.training.memory import release


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
class Exported:
    """What was exported, and on how many held-out items its answers were compared."""

    folder: Path
    merged: bool
    checked: int
    rounded_equal: Mapping[str, int] = field(default_factory=dict)
    """How many answers are equal where weights were rounded: by ``bf16``, ``fp16``, ``nf4``."""
    members: tuple[str, ...] = ()
    """What a model that wraps others was written with: a run that stands alone."""

    @property
    def summary(self) -> str:
        """One sentence on how the weights were verified."""
        if self.members:
            counted = f"{self.checked} of {self.checked} answers equal"
            return f"a run with its members {', '.join(self.members)}: {counted}"
        if not self.merged:
            return "an adapter; nothing was merged"
        counted = f"{self.checked} of {self.checked} answers equal"
        said = f"merged weights against base and adapter: {counted}"
        rounded = (f"in {name} {n} of {self.checked}" for name, n in self.rounded_equal.items())
        return "; ".join([said, *rounded])


def export(
    run: Run,
    folder: Path,
    *,
    merge: bool = True,
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32",
    check: int = 16,
    four_bit: bool = False,
    licence: str | None = None,
) -> Exported:
    """Write the run's weights to a new ``folder``: safetensors, processor, model card.

    Merged weights must answer ``check`` held-out items exactly as base and adapter do; in fp32 they
    are loaded again from the folder for that. ModelError otherwise, and nothing is left behind.
    A model that wraps others is written as a run that stands alone, its members inside it, and the
    copy must answer as the run does. Rounding may change answers: with a 16-bit ``dtype``, and in
    NF4 with ``four_bit``, the folder's weights are asked too and equal answers are counted; the
    card says how many.
    """
    run.require_fitted()
    learner = build(run.recipe().model)
    members = run.recipe().members()
    if not members and not isinstance(learner, Exportable):
        raise ModelError(f"{run.recipe().model['name']} has no weights that others could load")
    if folder.exists() and any(folder.iterdir()):
        raise RunError("is not empty", where=folder, hint="name a new folder")
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        done = Exported(folder, merge, 0)
        if members:
            done = replace(done, members=tuple(members), checked=_copied(run, beside, check))
        elif isinstance(learner, Exportable):
            learner.write(run, beside, merge=merge, dtype=dtype)
        if merge and isinstance(learner, Exportable):
            roundings = [*([dtype] if dtype != "fp32" else []), *(["nf4"] if four_bit else [])]
            done = replace(done, **_verified(run, learner, beside, check, roundings))
        text = model_card(run, done.summary, merged=merge, licence=licence)
        write_atomic(beside / "README.md", text)
        if folder.exists():
            folder.rmdir()
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return done


def push(folder: Path, repository: str, *, private: bool = True) -> str:
    """Upload an exported folder to a hub repository (made if missing) and return its address."""
    from huggingface_hub import HfApi

    if not (folder / "README.md").exists():
        raise RunError("was not exported", where=folder, hint="vesalius export RUN --merge first")
    api = HfApi()
    address = api.create_repo(repository, private=private, exist_ok=True)
    if private and not api.repo_info(repository).private:
        hint = "say --public if everybody may have the weights"
        raise RunError("is there already, and public", where=repository, hint=hint)
    api.upload_folder(repo_id=repository, folder_path=str(folder))
    return str(address)


def _copied(run: Run, folder: Path, check: int) -> int:
    """Copy a run with its members; how many held-out items the copy was held against it on."""
    data, decoding = run.recipe().data, run.recipe().decoding
    items = list(islice(dialogues(data, data.splits.test), check))
    expected = _answers(load(run), items, decoding)
    release()
    again = _answers(load(portable.copy(run, folder)), items, decoding)
    if differing := _differing(expected, again):
        what = f"the copy answers {len(differing)} of {len(items)} items differently"
        raise ModelError(what, where=differing[0], hint="nothing was exported")
    return len(items)


def _verified(
    run: Run, learner: Exportable, written: Path, check: int, roundings: Sequence[str]
) -> dict[str, Any]:
    """How many answers were compared and found equal, and how many are in each rounding."""
    data, decoding = run.recipe().data, run.recipe().decoding
    items = list(islice(dialogues(data, data.splits.test), check))
    expected = _answers(learner.load(run, merge=False, exact=True), items, decoding)
    release()
    whole = not any(name != "nf4" for name in roundings)
    merged = learner.read(run, written) if whole else learner.load(run, exact=True)
    differing = _differing(expected, _answers(merged, items, decoding))
    if differing:
        raise ModelError(
            f"the merged weights answer {len(differing)} of {len(items)} items differently from "
            f"base and adapter, {differing[0]} first",
            where=run.path,
            hint="nothing was exported",
        )
    equal = {}
    for name in roundings:
        release()
        model = learner.read(run, written, quantization="nf4" if name == "nf4" else None)
        equal[name] = len(items) - len(_differing(expected, _answers(model, items, decoding)))
    return {"checked": len(items), "rounded_equal": equal}


def _answers(model: Any, items: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
    found: list[Prediction] = model.predict(items, decoding)
    return found


def _differing(expected: Sequence[Prediction], found: Sequence[Prediction]) -> list[str]:
    """The ids of answers that differ: in their text, a box, or a concept."""
    return [p.id for p, other in zip(expected, found, strict=True) if p.answer != other.answer]
