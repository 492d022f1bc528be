"""Export: a run's weights as a folder that others load, verified before anybody relies on it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.errors import ModelError, RunError
from vesalius.files import write_atomic
from vesalius.gather import dialogues
from vesalius.model_card import model_card
from vesalius.models import Model
from vesalius.models.build import build
from vesalius.recipe import Decoding
from vesalius.run import Run


@runtime_checkable
class Exportable(Protocol):
    """A learner whose fitted weights can be written for others to load."""

    def load(self, run: Run, *, merge: bool = True) -> Model:
        """The fitted model, its adapters merged into the base or kept as layers."""

    def write(self, run: Run, folder: Path, *, merge: bool) -> None:
        """Weights, configuration and processor as plain transformers (or PEFT) reads them."""

    def read(self, folder: Path, quantization: str | None = None) -> Model:
        """What :meth:`write` wrote, merged, as anybody would load it."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, and on how many held-out items its answers were compared."""

    folder: Path
    merged: bool
    checked: int
    four_bit_equal: int | None = None

    @property
    def said(self) -> str:
        """One sentence on how the weights were verified."""
        if not self.merged:
            return "an adapter; nothing was merged"
        said = f"merged weights loaded again: {self.checked} of {self.checked} answers equal"
        if self.four_bit_equal is not None:
            said += f"; in 4 bits (NF4) {self.four_bit_equal} of {self.checked}"
        return said


def export(
    run: Run,
    folder: Path,
    *,
    merge: bool = True,
    check: int = 16,
    four_bit: bool = False,
    licence: str | None = None,
) -> Exported:
    """Write the run's weights to a new ``folder``: safetensors, processor, model card.

    Merged weights are loaded again from there and must answer ``check`` held-out items exactly as
    base and adapter do; ModelError otherwise, and nothing is left behind. ``four_bit`` also loads
    them in NF4 and counts equal answers: rounding may change some, and the card says how many.
    """
    run.require_fitted()
    learner = build(run.recipe().model)
    if not isinstance(learner, Exportable):
        raise ModelError(f"{run.recipe().model['name']} has no weights that others could load")
    if folder.exists() and any(folder.iterdir()):
        raise RunError("is not empty", where=folder, hint="name a new folder")
    beside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        learner.write(run, beside, merge=merge)
        checked, equal = _verified(run, learner, beside, check, four_bit) if merge else (0, None)
        done = Exported(folder, merge, checked, equal)
        text = model_card(run, done.said, merged=merge, licence=licence)
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
    api.upload_folder(repo_id=repository, folder_path=str(folder))
    return str(address)


def _verified(
    run: Run, learner: Exportable, written: Path, check: int, four_bit: bool
) -> tuple[int, int | None]:
    """How many answers were compared and found equal, and how many are equal in 4 bits."""
    data, decoding = run.recipe().data, run.recipe().decoding
    items = list(islice(dialogues(data, data.splits.test), check))
    expected = _answers(learner.load(run, merge=False), items, decoding)
    differing = _differing(expected, _answers(learner.read(written), items, decoding))
    if differing:
        raise ModelError(
            f"the merged weights answer {len(differing)} of {len(items)} items differently from "
            f"base and adapter, {differing[0]} first",
            where=run.path,
            hint="nothing was exported",
        )
    if not four_bit:
        return len(items), None
    rounded = _answers(learner.read(written, quantization="nf4"), items, decoding)
    return len(items), len(items) - len(_differing(expected, rounded))


def _answers(model: Any, items: Sequence[Dialogue], decoding: Decoding) -> list[Prediction]:
    found: list[Prediction] = model.predict(items, decoding)
    return found


def _differing(expected: Sequence[Prediction], found: Sequence[Prediction]) -> list[str]:
    return [one.id for one, other in zip(expected, found, strict=True) if one.text != other.text]
