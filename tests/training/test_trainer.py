"""Numbers that are none: the run stops at once, says where, and keeps nothing of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tests.training.conftest import Row, fit, network, rows

from vesalius.errors import ModelError
from vesalius.training.checkpoints import last_complete
from vesalius.training.trainer import WatchedTrainer

POISON = 31  # a token id: where it stands, something goes wrong


def poisoned(spoil: Callable[[torch.Tensor], torch.Tensor]) -> PeftModel:
    """A network whose loss is spoilt on batches that hold the poison."""
    model = network()
    base = model.get_base_model()
    forward = base.forward

    def spoilt(input_ids: torch.Tensor, **rest: Any) -> Any:
        found = forward(input_ids=input_ids, **rest)
        if (input_ids == POISON).any():
            found.loss = spoil(found.loss)
        return found

    base.forward = spoilt
    return model


def clean_rows(*, poison: int) -> list[Row]:
    """Rows without the poison, but for one."""
    found = [Row(id=r["id"], tokens=r["tokens"].clamp(max=POISON - 1)) for r in rows()]
    found[poison]["tokens"][1] = POISON
    return found


def order(path: Path, items: list[Row]) -> list[str]:
    """Ids in the order that training meets them."""
    met: list[str] = []
    collected = WatchedTrainer.get_batch_samples

    def spy(self: WatchedTrainer, iterator: Any, count: int, device: Any) -> Any:
        found = collected(self, iterator, count, device)
        met.extend(name for ids in self._ids for name in ids or ())
        return found

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(WatchedTrainer, "get_batch_samples", spy)
        fit(path, items=items, epochs=1)
    return met


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_with_step_batch_and_checkpoint(
    tmp_path: Path, value: float
) -> None:
    # Batches of 2, 2 a step; the 10 rows of an epoch are steps of 4, 4 and 2. The poison goes
    # where training meets it in the third batch: step 2, its first batch, mates 4 and 5.
    met = order(tmp_path / "plain", rows())
    assert len(set(met)) == 10
    items = clean_rows(poison=[r["id"] for r in rows()].index(met[4]))
    with pytest.raises(ModelError, match="the loss is not a number at step 2") as caught:
        fit(
            tmp_path / "run",
            items=items,
            model=poisoned(lambda loss: loss * value),
            checkpoint_steps=1,
        )
    message = str(caught.value)
    assert all(name in message for name in met[4:6])
    assert not any(name in message for name in (*met[:4], *met[6:]))  # not the step's other batch
    assert "checkpoint-1" in message
    last = last_complete(tmp_path / "run" / "checkpoints")
    assert last is not None
    assert last.name == "checkpoint-1"
    assert all(w.isfinite().all() for w in load_file(last / "adapter_model.safetensors").values())


def test_a_gradient_that_is_no_number_is_caught_before_its_weights_are_saved(
    tmp_path: Path,
) -> None:
    # sqrt(0 * loss) is 0, and its gradient is infinity times 0: the loss looks well.
    with pytest.raises(ModelError, match=r"the gradient is not a number at step \d.*case-") as e:
        fit(
            tmp_path / "run",
            items=clean_rows(poison=0),
            model=poisoned(lambda loss: loss + (loss * 0).sqrt()),
            checkpoint_steps=1,
        )
    step = int(str(e.value).split("at step ")[1].split(" ")[0])
    last = last_complete(tmp_path / "run" / "checkpoints")
    assert (0 if last is None else int(last.name.split("-")[1])) == step - 1


def test_weights_that_are_no_numbers_are_never_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped = torch.optim.AdamW.step

    def overflow(self: Any, closure: Any = None) -> Any:
        found = stepped(self, closure)
        self.param_groups[0]["params"][0].data.fill_(float("inf"))
        return found

    monkeypatch.setattr(torch.optim.AdamW, "step", overflow)
    with pytest.raises(ModelError, match=r"a trained weight is not a number.*checkpoint: none"):
        fit(tmp_path / "run", checkpoint_steps=1)
    assert last_complete(tmp_path / "run" / "checkpoints") is None


def test_a_batch_without_names_is_said_to_have_none(tmp_path: Path) -> None:
    class Nameless(dict[str, Any]):
        """A row that says nothing about itself."""

    def collate(items: Any) -> dict[str, Any]:
        ids = torch.stack([i["tokens"][:4] for i in items])
        return {"input_ids": ids, "labels": ids}

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("tests.training.conftest.collate", collate)
        with pytest.raises(ModelError, match="its dialogues are not named"):
            fit(
                tmp_path / "run",
                items=clean_rows(poison=0),
                model=poisoned(lambda loss: loss * float("nan")),
            )
