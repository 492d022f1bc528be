"""A network of a few thousand weights with adapters, and rows for it: what the loop is tried on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from transformers import LlamaConfig, LlamaForCausalLM

from vesalius import Recipe, Run
from vesalius.system.files import read_lines
from vesalius.training.loop import train
from vesalius.training.settings import Training
from vesalius.training.tracking import tracking

RECIPE = Recipe.model_validate(
    {"name": "r", "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
)
# 10 rows, 2 a batch, 2 batches a step: 5 batches and 3 steps an epoch, 9 steps in all.
SETTINGS: dict[str, Any] = {
    "epochs": 3,
    "batch": 2,
    "accumulate": 2,
    "checkpoint_steps": 2,
    "learning_rate": 0.01,
}
STEPS = 9


class Row(dict[str, Any]):
    """A row is its id and its tokens."""


def rows(count: int = 10) -> list[Row]:
    drawn = torch.Generator().manual_seed(1)
    return [
        Row(id=f"case-{i}/q", tokens=torch.randint(4, 32, (4 + i % 5,), generator=drawn))
        for i in range(count)
    ]


def collate(items: Sequence[Row]) -> dict[str, Any]:
    ids = torch.nn.utils.rnn.pad_sequence([i["tokens"] for i in items], batch_first=True)
    labels = ids.masked_fill(ids == 0, -100)
    mask = (ids != 0).long()
    named = [i["id"] for i in items]
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "labels": labels,
        "ids": named,
        "tokens": int(mask.sum()),
    }


def network(dropout: float = 0.1) -> PeftModel:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=32,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
    )
    lora = LoraConfig(r=4, lora_alpha=8, lora_dropout=dropout, target_modules=["q_proj", "v_proj"])
    return get_peft_model(LlamaForCausalLM(config), lora)


class Fitted:
    """What a training run left: the run, the facts, the adapters."""

    def __init__(self, run: Run, facts: dict[str, Any], model: PeftModel) -> None:
        self.run, self.facts, self.model = run, facts, model
        self.weights = get_peft_model_state_dict(model)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [row for _, row in read_lines(self.run.log)]


def fit(
    path: Path,
    *,
    model: PeftModel | None = None,
    items: Sequence[Row] | None = None,
    recipe: Recipe = RECIPE,
    validate: Callable[[], dict[str, float]] | None = None,
    watch: str = "validation",
    dtype: torch.dtype = torch.float32,
    save_to: Path | None = None,
    **changes: Any,
) -> Fitted:
    run = Run.create(path, recipe)
    trained = model or network()
    with tracking(run, recipe) as followed:
        facts = train(
            trained,
            rows() if items is None else items,
            collate,
            Training.model_validate(SETTINGS | changes),
            followed,
            dtype=dtype,
            seed=3,
            validate=validate,
            watch=watch,
            save_to=save_to,
        )
    return Fitted(run, facts, trained)


def same(one: Fitted, other: Fitted) -> None:
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[name], other.weights[name]) for name in one.weights)
    assert one.log == other.log


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Fitted:
    """An uninterrupted run."""
    return fit(tmp_path_factory.mktemp("whole") / "run")
