"""The ``weights`` folder of a run: what it started from, what was trained, and that it is whole.

``model/`` the trained model, or ``adapter/`` what lies on the base · ``base/`` a random base, which
exists nowhere else · ``processor/`` · ``origin.json`` where the base comes from and its shapes ·
``manifest.json`` size and hash of every file.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from vesalius.errors import ModelError, RunError
from vesalius.models.generative.weights.loading import reading
from vesalius.run import Run
from vesalius.system.files import read_json, write_json
from vesalius.system.manifest import altered, manifest, missing
from vesalius.training.disk import writing

MANIFEST = "manifest.json"
ORIGIN = "origin.json"


def note_origin(run: Run, model: PreTrainedModel, kind: str, start: Run | None) -> None:
    """Record where the base of a run comes from, ``random`` or ``pretrained``, and its shapes."""
    origin: dict[str, Any] = {"weights": kind, "base": shapes(model)}
    if start is not None:
        origin["start"] = os.path.relpath(start.path.resolve(), run.path.resolve())
        origin["start_manifest"] = _hash(start.weights / MANIFEST)
    write_json(run.weights / ORIGIN, origin)


def keep_base(run: Run, model: PreTrainedModel) -> None:
    """Save an untrained model, whole or not at all."""
    folder, beside = run.weights / "base", run.weights / ".base"
    if folder.exists():
        return
    shutil.rmtree(beside, ignore_errors=True)
    with writing("the untrained model", folder):
        model.save_pretrained(str(beside))
        beside.replace(folder)


def seal(run: Run, processor: Any) -> None:
    """Save the processor, and the hashes of all files: the weights are complete."""
    with writing("the processor", run.weights):
        processor.save_pretrained(str(run.weights / "processor"))
        (run.weights / MANIFEST).unlink(missing_ok=True)
        write_json(run.weights / MANIFEST, manifest(run.weights))


def require_sealed(run: Run) -> None:
    """RunError if a run holds no fitted model, ModelError if a file of it was lost or altered."""
    folder = run.weights
    if not (folder / MANIFEST).exists():
        hint = "finish vesalius fit first"
        raise RunError("holds no fitted model", where=run.path, hint=hint)
    files = read_json(folder / MANIFEST)
    lost = missing(folder, files)
    changed = None if lost else altered(folder, files)
    if lost or changed:
        what = lost or f"{changed} is not what was saved: its hash differs from {MANIFEST}"
        raise ModelError(what, where=folder, hint="restore the file, or fit again")


def origin(run: Run) -> dict[str, Any]:
    """What :func:`note_origin` recorded."""
    content: dict[str, Any] = read_json(run.weights / ORIGIN)
    return content


def start_of(run: Run) -> Run | None:
    """The run that a fitted run started from; RunError if it is gone or was fitted anew since."""
    noted = origin(run)
    if "start" not in noted:
        return None
    folder = run.path / noted["start"]
    if not (folder / "recipe.yaml").exists():
        what = f"starts from the run {folder.resolve()}, which is gone"
        raise RunError(what, where=run.path, hint="put it back: its weights are this run's base")
    start = Run.open(folder)
    if _hash(start.weights / MANIFEST) != noted["start_manifest"]:
        what = f"starts from the run {folder.resolve()}, which was fitted anew since"
        raise RunError(what, where=run.path, hint="fit this run again too")
    return start


def attach(base: PreTrainedModel, run: Run, *, merge: bool) -> PreTrainedModel:
    """The base with the run's adapters: merged, or left as layers on a 4-bit base.

    Merging into 4 bits would round the adapters away. ModelError if the base is not the one that
    the adapters were fitted on.
    """
    from peft import PeftModel

    require_base(base, run)
    folder = run.weights / "adapter"
    with reading(folder, "an adapter"):
        wrapped = PeftModel.from_pretrained(base, str(folder))
    if merge:
        merged: PreTrainedModel = wrapped.merge_and_unload()
        return merged
    unmerged: PreTrainedModel = wrapped.get_base_model()
    return unmerged


def require_base(base: PreTrainedModel, run: Run) -> None:
    """ModelError if a base, or its outline, is not the one that a run was fitted on."""
    noted, here = origin(run)["base"], shapes(base)
    for what, was in noted.items():
        if was != here[what]:
            line = f"the adapter was fitted on another base: {what} {was}, here {here[what]}"
            raise ModelError(line, where=run.path)


def copy_adapter(run: Run, folder: Path) -> None:
    """A run's adapter and processor; ModelError if it has none."""
    require_sealed(run)
    if not (run.weights / "adapter").exists():
        raise ModelError("has no adapter: it was trained in full", where=run.path)
    for part in ("adapter", "processor"):
        shutil.copytree(run.weights / part, folder, dirs_exist_ok=True)


def write_whole(model: PreTrainedModel, processor: Any, stops: Sequence[int], folder: Path) -> None:
    """A model with its processor, and the tokens at which it stops, as transformers reads them."""
    _stop_at(model, processor, stops)
    if not getattr(model, "_weight_conversions", None):
        # Read under the class's own names, it would be saved under them; others look for the hub's.
        model._weight_conversions = None
    with writing("the model", folder):
        model.save_pretrained(str(folder))
        processor.save_pretrained(str(folder))
        if hasattr(processor, "image_processor"):
            # transformers 5 keeps its settings in processor_config.json; vLLM and others look here
            processor.image_processor.save_pretrained(str(folder))


def write_prompting(
    model: PreTrainedModel, processor: Any, stops: Sequence[int], folder: Path
) -> None:
    """How a model is prompted and where it stops, without weights: for an adapter's folder."""
    (folder / "chat_template.jinja").write_text(
        processor.tokenizer.chat_template or "", encoding="utf-8"
    )
    config: Any = _stop_at(model, processor, stops)
    config.save_pretrained(str(folder))


def _stop_at(model: PreTrainedModel, processor: Any, stops: Sequence[int]) -> Any:
    """The model's generation settings, with the tokens that end its replies."""
    config: Any = model.generation_config
    config.eos_token_id, config.pad_token_id = list(stops), processor.tokenizer.pad_token_id
    return config


def shapes(model: PreTrainedModel) -> dict[str, Any]:
    """What two bases share if the adapters of one fit on the other."""
    sizes = {
        name: tuple((getattr(p, "quant_state", None) or p).shape)
        for name, p in model.named_parameters()
    }
    listed = json.dumps(sorted(sizes.items())).encode()
    return {
        "architecture": type(model).__name__,
        "vocabulary": int(model.get_input_embeddings().num_embeddings),
        "shapes": hashlib.sha256(listed).hexdigest()[:16],
    }


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
