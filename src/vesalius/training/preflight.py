"""What training needs, checked before any long work."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from transformers.training_args import OptimizerNames

from vesalius.errors import MissingExtra, RecipeError, UnknownName
from vesalius.training.processes import cpu_only, sharded
from vesalius.training.settings import Training

# What names an optimizer of the bitsandbytes package.
EIGHT_BIT = ("8bit", "bnb", "paged")


def require(settings: Training, *, dtype: torch.dtype, validated: bool) -> None:
    """Raise unless these settings can be trained with here.

    ``validated``: whether validation scores will be there. RecipeError: fp16 on the CPU, or a
    choice by validation without one. UnknownName: the optimizer. MissingExtra: its package.
    """
    if dtype == torch.float16 and cpu_only():
        raise RecipeError(
            "fp16 is for CUDA devices, where its gradients can be scaled; here is the CPU",
            where="precision",
            hint="bf16, fp32 or auto",
        )
    known = [name.value for name in OptimizerNames]
    if settings.optimizer not in known:
        raise UnknownName("optimizer", settings.optimizer, known, where="training.optimizer")
    if any(sign in settings.optimizer for sign in EIGHT_BIT) and find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "train")
    if settings.keep_best and sharded():
        raise RecipeError(
            "the best weights cannot be kept while weights are spread over processes",
            where="training.keep_best",
            hint="launch with recipes/accelerate/ddp.yaml, or set keep_best to 0",
        )
    require_validation(settings, validated=validated)


def require_validation(settings: Training, *, validated: bool) -> None:
    """RecipeError if something is chosen by validation scores that will not be there."""
    wanted = {"patience": settings.patience is not None, "keep_best": settings.keep_best > 0}
    for name, needed in wanted.items():
        if needed and not validated:
            raise RecipeError(
                "chooses by validation scores, but nothing is validated",
                where=f"training.{name}",
                hint="set evaluation.validate_on, and data.splits.validation",
            )
