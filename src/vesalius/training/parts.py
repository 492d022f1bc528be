"""Which parts of a model train, how, and proof that just those do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

import torch
from rich.table import Table
from torch import nn

from vesalius.errors import ModelError, RecipeError, UnknownName
from vesalius.training.processes import cpu_only
from vesalius.training.settings import Adapter

Role = Literal["frozen", "adapter", "full"]

Parts = Mapping[str, tuple[str, ...]]
"""Part name (vision, projector, language ...) -> the module paths that make it up; "" is all."""

LINEARS = r"\..*\.(q|k|v|o|gate|up|down)_proj"
"""What adapters land on behind a part's paths: the linear layers of a Llama-like decoder."""

NOTHING: Mapping[str, str] = {}
OTHER = "other"
WRAPPED = "base_model.model."
"""What PEFT puts before the names of the modules it wraps."""


def prepare(
    model: nn.Module,
    parts: Parts,
    roles: Mapping[str, Role],
    adapter: Adapter,
    targets: Mapping[str, str] = NOTHING,
) -> nn.Module:
    """The model with each part frozen, adapted or trained in full; a part without a role is frozen.

    ``targets``: part name -> what adapters land on there, a regular expression behind the part's
    paths that matches full module names (:data:`LINEARS` by default). Parts trained in full beside
    an adapter are saved with it; a weight of theirs that is no module of its own (LLaVA-NeXT's
    ``image_newline``, BLIP-2's ``query_tokens``) stays frozen then, since adapters cannot hold it.
    Trainable weights are fp32, whatever the base is.

    UnknownName for a role of a part that the model has not. ModelError, naming the modules, if an
    adapter lands on no module or outside the parts that are to have one, or if a part trains that
    should not, or does not that should.
    """
    require_parts(roles, parts)
    for name, parameter in model.named_parameters():
        trains = roles.get(part_of(name, parts)) == "full"
        if trains != parameter.requires_grad:  # a quantised weight may not even be asked
            parameter.requires_grad_(trains)
    if "adapter" in roles.values():
        model = _adapted(model, parts, roles, adapter, targets)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    _verify(model, parts, roles)
    return model


def require_parts(roles: Mapping[str, Role], parts: Parts) -> None:
    """UnknownName for a role of a part that there is not."""
    for part in roles:
        if part not in parts:
            raise UnknownName("part", part, parts, where="model.roles")


def part_of(name: str, parts: Parts) -> str:
    """The part that a module or weight belongs to: the one with the longest path to it."""
    bare = name.removeprefix(WRAPPED)
    held = [
        (len(path), part)
        for part, paths in parts.items()
        for path in paths
        if path in ("", bare) or bare.startswith(f"{path}.")
    ]
    return max(held, default=(0, OTHER))[1]


def census(model: nn.Module, parts: Parts) -> dict[str, dict[str, int]]:
    """Per part, how many parameters there are and how many train ("other": outside all parts)."""
    counts = {part: {"parameters": 0, "trainable": 0} for part in (*parts, OTHER)}
    for name, parameter in model.named_parameters():
        if ".original_module." in name:
            continue  # PEFT's untouched copy of a part that trains in full
        part, size = part_of(name, parts), _size(parameter)
        counts[part]["parameters"] += size
        counts[part]["trainable"] += size if parameter.requires_grad else 0
    return {part: count for part, count in counts.items() if count["parameters"]}


def census_table(counts: Mapping[str, Mapping[str, int]], roles: Mapping[str, Role]) -> Table:
    """A census for the terminal: part, role, parameters, those that train."""
    table = Table("part", "role", title="what trains", title_justify="left", box=None)
    for column in ("parameters", "trainable", "share"):
        table.add_column(column, justify="right")
    for part, count in counts.items():
        share = count["trainable"] / count["parameters"]
        numbers = (f"{count['parameters']:,}", f"{count['trainable']:,}", f"{share:.2%}")
        table.add_row(part, roles.get(part, "frozen"), *numbers)
    return table


def count(model: nn.Module) -> int:
    """All parameters of a model."""
    return sum(_size(p) for p in model.parameters())


def resolve_dtype(precision: str, *, training: bool) -> torch.dtype:
    """The dtype to compute in: what the recipe says, or the machine's best for ``auto``.

    On a CPU that is bf16 where ``training`` and the CPU has instructions for it (without them it
    is hundreds of times slower than fp32). What answers stays in fp32 there, so that a run answers
    alike on every CPU.
    """
    named = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if precision in named:
        return named[precision]
    if not cpu_only():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if fast else torch.float16
    return torch.bfloat16 if training and _bf16_cpu() else torch.float32


def _adapted(
    model: nn.Module,
    parts: Parts,
    roles: Mapping[str, Role],
    adapter: Adapter,
    targets: Mapping[str, str],
) -> nn.Module:
    """The model with LoRA layers in it, proved to be where they should and nowhere else."""
    from peft import LoraConfig, get_peft_model

    pattern = adapter.targets or _pattern(model, parts, roles, targets)
    whole = _whole(model, parts, roles)
    config = LoraConfig(
        r=adapter.r,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=pattern,
        modules_to_save=whole or None,
        bias="none",
        use_dora=adapter.use_dora,
        use_rslora=adapter.use_rslora,
    )
    where = "model.adapter.targets"
    try:
        wrapped: nn.Module = get_peft_model(model, config)
    except re.error as error:
        what = f"not a regular expression: {adapter.targets} ({error})"
        raise RecipeError(what, where=where) from error
    except ValueError as error:
        hits = _hits(model, pattern)
        what = f"no adapter fits {_some(hits)}" if hits else "the adapter lands on no module"
        raise ModelError(what, where=where, hint=f"targets: {pattern}") from error
    _verify_places(wrapped, parts, roles, whole)
    return wrapped


def _pattern(
    model: nn.Module, parts: Parts, roles: Mapping[str, Role], targets: Mapping[str, str]
) -> str:
    """One regular expression over full module names; paths where nothing matches are left out.

    A path that is named but not adapted would mislead: PEFT saves whole embeddings when it reads
    ``lm_head`` anywhere in the expression.
    """
    every = [
        re.escape(path) + targets.get(part, LINEARS)
        for part, paths in parts.items()
        if roles.get(part) == "adapter"
        for path in paths
    ]
    return "|".join([one for one in every if _hits(model, one)] or every)


def _hits(model: nn.Module, pattern: str) -> list[str]:
    return [name for name, _ in model.named_modules() if re.fullmatch(pattern, name)]


def _whole(model: nn.Module, parts: Parts, roles: Mapping[str, Role]) -> list[str]:
    """The outermost modules that train in full; of a list of modules, its items."""
    full = [path for part, paths in parts.items() if roles.get(part) == "full" for path in paths]
    outermost: list[str] = []
    for path, module in model.named_modules():
        if path in full and not any(path.startswith(f"{other}.") for other in outermost):
            listed = isinstance(module, nn.ModuleList)  # calls go to the items, none to the list
            outermost += [f"{path}.{i}" for i in range(len(module))] if listed else [path]
    return outermost


def _verify_places(
    model: nn.Module, parts: Parts, roles: Mapping[str, Role], whole: list[str]
) -> None:
    """ModelError unless each adapted part has adapters, nothing else has, and copies are ours."""
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils import ModulesToSaveWrapper

    named = [(name.removeprefix(WRAPPED), module) for name, module in model.named_modules()]
    landed = [name for name, module in named if isinstance(module, BaseTunerLayer)]
    astray = [name for name in landed if roles.get(part_of(name, parts)) != "adapter"]
    wanted = [part for part, role in roles.items() if role == "adapter"]
    empty = [p for p in wanted if not any(part_of(name, parts) == p for name in landed)]
    if astray or empty:
        hit = f"the adapter lands on {_some(astray or landed)}"
        missed = f" and on no module of {', '.join(empty)}" if empty else ""
        what = f"{hit}, outside {', '.join(wanted)}{missed}" if astray else hit + missed
        hint = "targets is a regular expression over full module names"
        raise ModelError(what, where="model.adapter.targets", hint=hint)
    copies = [name for name, module in named if isinstance(module, ModulesToSaveWrapper)]
    if sorted(copies) != sorted(whole):
        what = f"{_some(copies)} would train in full, where {', '.join(whole)} should"
        raise ModelError(what, where="model.roles")


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _verify(model: nn.Module, parts: Parts, roles: Mapping[str, Role]) -> None:
    for part, numbers in census(model, parts).items():
        role = roles.get(part, "frozen")
        if role == "frozen" and numbers["trainable"]:
            raise ModelError(f"{part} should be frozen, but {numbers['trainable']:,} weights train")
        if role != "frozen" and not numbers["trainable"]:
            raise ModelError(f"{part} should train ({role}), but none of its weights does")


def _size(parameter: nn.Parameter) -> int:
    """How many weights a parameter holds; a 4-bit one packs several into a number."""
    packed = getattr(parameter, "quant_state", None)
    return int(parameter.numel() if packed is None else packed.shape.numel())


def _bf16_cpu() -> bool:
    """Whether the CPU multiplies matrices in bf16: AVX512-BF16 or AMX."""
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
