"""What vLLM needs beside exported weights, and the command that serves them.

vLLM itself is never imported.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import yaml

from vesalius.errors import ModelError
from vesalius.models.build import build
from vesalius.run import Run
from vesalius.system.files import read_json, write_atomic
from vesalius.system.usage_reports import SWITCHES

IMAGE = "vllm/vllm-openai:${VLLM:-v0.33.0}"
PORT = 8001
ALL = "0.0.0.0"  # noqa: S104  # inside the container, whose port is open to this machine alone
PICTURES = 4
"""Pictures that a question may show; vLLM keeps memory for them."""
RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What ``--max-lora-rank`` may be."""
Base = tuple[str | None, str | None] | None
"""Of an adapter: the hub id of its base, None where it was written beside, and its revision."""
UNSERVED = {
    "crossed": "reads pictures by cross-attention",
    "encoder_decoder": "answers with an encoder and a decoder",
}
"""Layouts of families that vLLM's engine has no form for, and why."""
OWN_TOWERS = ("stem_vit", "efficientnet_lite0")
"""Vision encoders that are classes of ours."""


@runtime_checkable
class Bare(Protocol):
    """A learner that writes the base on which a run's adapter lies."""

    blueprint: Any
    settings: Any

    def write_base(self, run: Run, folder: Path) -> Base:
        """The base as a hub id and its revision, or, written to ``folder``, without."""

    def context(self, run: Run) -> int | None:
        """The tokens for which it has positions; None where it does not say."""

    def write_prompting(self, run: Run, folder: Path) -> None:
        """The chat template and the tokens at which a reply stops, where vLLM looks for them."""


def require_served(run: Run, *, merge: bool) -> None:
    """ModelError, before anything is written, where vLLM cannot serve the weights as they are."""
    why = next(_obstacles(run, merge), None)
    if why is not None:
        hint = "export it --for vllm with --merge" if _mergeable(run, merge) else None
        raise ModelError(f"cannot be served by vLLM: {why}", where=run.path, hint=hint)


def write(run: Run, written: Path, folder: Path, *, merge: bool) -> str:
    """Add to ``written``, which will be ``folder``, a script and a compose file; the command.

    ``vllm-serve.sh`` runs vLLM where it is installed, ``compose.vllm.yaml`` in its container. Of an
    adapter also the base, where no hub has it, the chat template and the generation settings.
    """
    here, mounted = folder.resolve(), Path("/srv/weights")
    learner: Any = build(run.recipe().model)
    base: Base = None
    if not merge:
        base = learner.write_base(run, written / "base")
        learner.write_prompting(run, written)
    arguments = [_arguments(run, learner, at, base) for at in (here, mounted)]
    line = shlex.join(["vllm", "serve", *arguments[0], "--port", str(PORT)])
    quiet = SWITCHES["vllm"]
    exports = "".join(f"export {name}={value}\n" for name, value in quiet.items())
    write_atomic(written / "vllm-serve.sh", f"#!/bin/sh\n{exports}exec {line}\n")
    (written / "vllm-serve.sh").chmod(0o755)
    service = {
        "image": IMAGE,
        "command": [*arguments[1], "--host", ALL, "--port", str(PORT)],
        "environment": dict(quiet),
        "ports": [f"127.0.0.1:{PORT}:{PORT}"],
        "volumes": [f"{here}:{mounted}:ro"],
        "shm_size": "8gb",
        "deploy": {"resources": {"reservations": {"devices": [_GPU]}}},
    }
    compose = yaml.safe_dump({"services": {"vllm": service}}, sort_keys=False)
    write_atomic(written / "compose.vllm.yaml", compose)
    return line


_GPU = {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


def _arguments(run: Run, learner: Any, at: Path, base: Base) -> list[str]:
    """What stands behind ``vllm serve``, with the export at a path; of an adapter with its base."""
    length = learner.settings.max_length + run.recipe().decoding.max_new_tokens
    length = min(length, learner.context(run) or length)
    common = ["--max-model-len", str(length), "--generation-config", str(at)]
    if learner.takes_pictures != "none":
        common += ["--limit-mm-per-prompt", f'{{"image": {PICTURES}}}']
    name = run.name
    if base is None:
        return [str(at), "--served-model-name", name, *common]
    hub_id, revision = base
    rank = next(one for one in RANKS if one >= learner.settings.adapter.r)
    return [
        hub_id or str(at / "base"),
        *([] if revision is None else ["--revision", revision]),
        "--served-model-name",
        f"{name}-base",
        "--enable-lora",
        "--lora-modules",
        f"{name}={at}",
        "--max-lora-rank",
        str(rank),
        "--chat-template",
        str(at / "chat_template.jinja"),
        *common,
    ]


def _obstacles(run: Run, merge: bool) -> Iterator[str]:
    """Why vLLM would refuse the weights, or answer otherwise."""
    recipe = run.recipe()
    learner: Any = build(recipe.model)
    if recipe.members() or not isinstance(learner, Bare):
        yield f"{recipe.model['name']} is no model that a language model writes with alone"
        return
    family, settings = learner.blueprint.origin.family(), learner.settings
    if family.layout in UNSERVED:
        yield f"{family.title} {UNSERVED[family.layout]}"
    if getattr(settings, "vision", None) in OWN_TOWERS:
        yield f"{settings.vision} is a vision encoder that it does not know"
    if getattr(learner.blueprint.origin, "square", False):
        yield "pictures are padded to a square first, which it does not do"
    if not merge:
        yield from _of_an_adapter(run, settings)


def _of_an_adapter(run: Run, settings: Any) -> Iterator[str]:
    if not (run.weights / "adapter").exists():
        return  # the export says so itself
    config = read_json(run.weights / "adapter" / "adapter_config.json")
    if config.get("modules_to_save"):
        yield f"whole modules lie in the adapter: {', '.join(config['modules_to_save'])}"
    if others := [p for p, role in settings.roles.items() if p != "language" and role != "frozen"]:
        yield f"beside the language model, {', '.join(others)} trained"
    if settings.adapter.use_dora:
        yield "it takes no DoRA"
    if settings.adapter.r > RANKS[-1]:
        yield f"a rank of {settings.adapter.r} is above {RANKS[-1]}"
    if settings.quantization is not None:
        yield "the adapter lies on a base in 4 bits, which it would quantise in its own way"
    image_tokens = getattr(settings, "image_tokens", None)
    if image_tokens is not None and image_tokens.max is not None:
        yield "the budget of picture tokens stands in the processor, which it takes from the base"


def _mergeable(run: Run, merge: bool) -> bool:
    return not merge and next(_obstacles(run, True), None) is None
