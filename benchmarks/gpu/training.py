"""A training step at released sizes: our shared rows, rows apart, and TRL's ordinary path.

LoRA (r = 16) on the language model's linear layers, bf16, no gradient checkpointing. A step is one
picture with all of its questions, forward, backward and AdamW, on the device alone: reading and
tokenising are outside the clock. The ordinary path is TRL's SFTTrainer with its vision-language
collator: one row a question, the picture encoded again for each.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import Any

from benchmarks.gpu.shapes import LONG, Shape, learner, talk
from benchmarks.gpu.tasks import Clock, Tasks, peak_gib, release, too_old, training_arguments
from transformers import TrainingArguments

from vesalius import Dialogue
from vesalius.models.generative import fitting
from vesalius.models.generative.network import Network
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.training.trainer import WatchedTrainer

SHAPES = ("llava-1.5-7b", "llama-3.2-11b-vision", "blip2-flan-t5-xl", "qwen3-vl-4b")
QUESTIONS = (1, 4, 11)
STEPS = 5


def tasks(*, small: bool) -> Tasks:
    """A row for each shape and number of questions."""
    for shape in SHAPES:
        for questions in QUESTIONS:
            yield {"shape": shape, "questions": questions}, partial(_cell, shape, questions, small)


@lru_cache(maxsize=1)
def _network(shape: str, small: bool) -> Network:
    release()
    made = learner(shape, small=small)
    return fitting.prepared(made.blueprint, talk(1, max(QUESTIONS), side=64), 0)


def _cell(shape: str, questions: int, small: bool) -> dict[str, Any]:
    if (lack := too_old(Shape(shape, small=small).family())) is not None:
        return {"skipped": lack}
    network = _network(shape, small)
    dialogues = talk(STEPS, questions, side=64 if small else 560)
    apart = Groups(dialogues[:questions], network.encoder, share=False, per_row=1, max_length=LONG)
    tokens = sum(apart[i][0].length for i in range(questions))
    ways: dict[str, Callable[[], float]] = {
        "shared": lambda: _ours(network, dialogues, share=True, batch=1),
        "apart": lambda: _ours(network, dialogues, share=False, batch=questions),
        "trl": lambda: _trl(network, dialogues, questions),
    }
    row: dict[str, Any] = {"tokens_apart": tokens}
    for way, work in ways.items():
        row |= _measured(way, work, tokens)
    for other in ("apart", "trl"):
        if "shared_s" in row and f"{other}_s" in row:
            row[f"ratio_{other}"] = round(row[f"{other}_s"] / row["shared_s"], 2)
    return row | {"ok": "shared_s" in row}


def _measured(way: str, work: Callable[[], float], tokens: int) -> dict[str, Any]:
    """Seconds, peak memory, and the tokens of rows apart that a second does the work of."""
    release()
    try:
        seconds = work()
    except Exception as error:  # noqa: BLE001  # a way that fails is a result, and told as one
        return {f"{way}_refused": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
    return {
        f"{way}_s": round(seconds, 4),
        f"{way}_tokens_per_s": round(tokens / seconds),
        f"{way}_peak_gib": peak_gib(),
    }


def _ours(network: Network, dialogues: Sequence[Dialogue], *, share: bool, batch: int) -> float:
    items = Groups(dialogues, network.encoder, share=share, per_row=64, max_length=LONG)
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(**training_arguments(folder, batch=batch, steps=STEPS))
        WatchedTrainer(
            model=network.model,
            args=arguments,
            train_dataset=items,
            data_collator=collator(network),
            callbacks=[clock],
        ).train()
    return clock.median()


def _trl(network: Network, dialogues: Sequence[Dialogue], questions: int) -> float:
    if find_spec("trl") is None or find_spec("datasets") is None:
        raise ModuleNotFoundError("trl and datasets are not installed")
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    rows = [_trl_row(dialogue) for dialogue in dialogues]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(folder, batch=questions, steps=STEPS)
        arguments["gradient_checkpointing"] = False
        SFTTrainer(
            network.model,
            args=SFTConfig(max_length=None, **arguments),
            train_dataset=Dataset.from_list(rows),
            processing_class=network.processor,
            callbacks=[clock],
        ).train()
    return clock.median()


def _trl_row(dialogue: Dialogue) -> dict[str, Any]:
    asked = [{"type": "image"}, {"type": "text", "text": dialogue.question.text}]
    reply = [{"type": "text", "text": dialogue.question.answers[0].text}]
    return {
        "images": [dialogue.pictures[0].pixels()],
        "prompt": [{"role": "user", "content": asked}],
        "completion": [{"role": "assistant", "content": reply}],
    }
