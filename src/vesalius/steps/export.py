"""Export: a run's weights as a folder that others load, verified before anybody relies on it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

from vesalius.errors import ModelError, RunError
from vesalius.models.build import build
from vesalius.run import Run
from vesalius.steps import portable, vllm
from vesalius.steps.export_card import hub_card, model_card
from vesalius.steps.load import load
from vesalius.steps.members import member_runs
from vesalius.steps.prepare import dialogues
from vesalius.steps.verification import NOTHING, Exportable, Verified, answers, differing, verified
from vesalius.system.files import write_atomic
from vesalius.training.memory import release

ROUNDED = ("bf16", "fp16", "nf4")
"""What weights may be saved or asked in that rounds them."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported, and what its answers to held-out items were compared with."""

    folder: Path
    merged: bool
    verified: Verified = NOTHING
    command: str | None = None
    """What starts the engine that it was written for."""
    members: tuple[str, ...] = ()
    """What a model that wraps others was written with: a run that stands alone."""

    @property
    def checked(self) -> int:
        """On how many held-out items answers had to be equal, and were."""
        return self.verified.checked

    @property
    def rounded_equal(self) -> dict[str, int]:
        """How many of the scored answers rounded weights give: by ``bf16``, ``fp16``, ``nf4``."""
        equal = self.verified.equal
        return {name: count for name, count in equal.items() if name in ROUNDED}

    @property
    def summary(self) -> str:
        """One sentence on how the weights were verified."""
        counted = f"{self.checked} of {self.checked} answers equal"
        if self.members:
            return f"a run with its members {', '.join(self.members)}: {counted}"
        if not self.merged:
            return f"an adapter; nothing was merged; {self.verified.counts}"
        return f"merged weights against base and adapter: {counted}; {self.verified.counts}"


def export(
    run: Run,
    folder: Path,
    *,
    merge: bool = True,
    dtype: Literal["fp32", "bf16", "fp16"] = "fp32",
    check: int = 16,
    four_bit: bool = False,
    licence: str | None = None,
    engine: Literal["vllm"] | None = None,
) -> Exported:
    """Write the run's weights to a new ``folder``: safetensors, processor, model card.

    Merged weights must answer ``check`` held-out items exactly as base and adapter do; in fp32 they
    are loaded again from the folder for that. ModelError otherwise, and nothing is left behind.
    A model that wraps others is written as a run that stands alone, its members inside it, and the
    copy must answer as the run does. A base in 4 bits, the plain base and merged weights are three
    models: of each, and of the folder's weights in a 16-bit ``dtype`` and, with ``four_bit``, in
    NF4, the answers that equal the scored ones are counted, and the card says how many. ``engine``:
    what else it needs is written beside; ModelError where it cannot serve them.
    """
    run.require_fitted()
    if engine is not None:
        vllm.require_served(run, merge=merge)
    licence = required_licence(run, licence)
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
        done = Exported(folder, merge)
        if members:
            copied = Verified(checked=_copied(run, beside, check))
            done = replace(done, members=tuple(members), verified=copied)
        elif isinstance(learner, Exportable):
            learner.write(run, beside, merge=merge, dtype=dtype)
            roundings = [*([dtype] if dtype != "fp32" else []), *(["nf4"] if four_bit else [])]
            asked = roundings if merge else None
            done = replace(done, verified=verified(run, learner, beside, check, asked))
        text = model_card(run, done.summary, done.verified, merged=merge, licence=licence)
        write_atomic(beside / "README.md", text)
        if engine is not None:
            done = replace(done, command=vllm.write(run, beside, folder, merge=merge))
        if folder.exists():
            folder.rmdir()
        beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return done


def required_licence(run: Run, wanted: str | None) -> str | None:
    """The licence of exported weights: that which the model or a member of it demands, or any.

    ModelError where another one is wanted.
    """
    demanded = hub_card(run.recipe()).licence
    if demanded is not None and wanted not in (None, demanded):
        what = f"these weights may be passed on only under {demanded}, not under {wanted}"
        raise ModelError(what, where=run.path, hint=f"leave --licence out, or say {demanded}")
    licence = demanded or wanted
    for member in member_runs(run).values():
        licence = required_licence(member, licence)
    return licence


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
    expected = answers(load(run), items, decoding)
    release()
    again = answers(load(portable.copy(run, folder)), items, decoding)
    if others := differing(expected, again):
        what = f"the copy answers {len(others)} of {len(items)} items differently"
        raise ModelError(what, where=others[0], hint="nothing was exported")
    return len(items)
