"""A training step at released sizes: our shared rows, rows apart, and TRL's ordinary path.

LoRA (r = 16) on the language model's linear layers, bf16, no gradient checkpointing; a step is
forward, backward and AdamW, on the device alone: reading and tokenising are outside the clock. The
ordinary path is TRL's SFTTrainer with its vision-language collator: one row a question, the picture
encoded again for each. ``shared``, ``apart`` and ``trl`` have one picture with all of its questions
in a step; where that leaves the device idle, ``shared_8`` and ``trl_8`` have eight rows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
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

# TRL cannot train BLIP-2: its collator puts no picture into the prompt, and on a GPU the assertion
# takes the process with it. So it comes last.
SHAPES = ("llava-1.5-7b", "llama-3.2-11b-vision", "qwen3-vl-4b", "blip2-flan-t5-xl")
QUESTIONS = (1, 4, 11)
STEPS, ROWS = 6, 8
WAYS = ("shared", "shared_8", "apart", "trl", "trl_8")
_rates: dict[tuple[str, int, str], float] = {}
"""Questions a second, by shape, questions and way: what ratios are of."""


def tasks(*, small: bool) -> Tasks:
    """A row for each shape, way and number of questions."""
    for shape in SHAPES:
        for way in WAYS:
            for questions in QUESTIONS:
                about = {"shape": shape, "way": way, "questions": questions}
                yield about, partial(_cell, shape, way, questions, small)


@lru_cache(maxsize=1)
def _network(shape: str, small: bool) -> Network:
    release()
    made = learner(shape, small=small)
    return fitting.prepared(made.blueprint, talk(1, max(QUESTIONS), side=64), 0)


def _cell(shape: str, way: str, questions: int, small: bool) -> dict[str, Any]:
    if (lack := too_old(Shape(shape, small=small).family())) is not None:
        return {"skipped": lack}
    network, kind, many = _network(shape, small), way.split("_", maxsplit=1)[0], way.endswith("8")
    batch = ROWS if many else (1 if kind == "shared" else questions)
    each = batch * questions if kind == "shared" else batch
    pictures = -(-each // questions)
    dialogues = talk(pictures, questions, side=64 if small else 560)[:each]
    release()
    if kind != "trl":
        seconds = _ours(network, dialogues, share=kind == "shared", batch=batch)
    else:
        try:
            seconds = _trl(network, dialogues, batch)
        except (RuntimeError, IndexError) as error:  # the peer's own, and so a result
            return {"refused": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
    rate = _rates[shape, questions, way] = each / seconds
    row = {"questions_a_step": each, "step_s": round(seconds, 4), "peak_gib": peak_gib()}
    shared = _rates.get((shape, questions, way.replace(kind, "shared")))
    ratio = {"shared_is_faster": round(shared / rate, 2)} if shared and kind != "shared" else {}
    tokens = {"tokens_per_s": round(_tokens(network, dialogues) / seconds)}
    return {**row, "questions_per_s": round(rate, 2), **tokens, **ratio, "ok": True}


def _tokens(network: Network, dialogues: Sequence[Dialogue]) -> int:
    """As rows apart have them: of the same work, whoever does it."""
    rows = Groups(dialogues, network.encoder, share=False, per_row=1, max_length=LONG)
    return sum(rows[i][0].length for i in range(len(rows)))


def _ours(network: Network, dialogues: Sequence[Dialogue], *, share: bool, batch: int) -> float:
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        WatchedTrainer(
            model=network.model,
            args=TrainingArguments(**training_arguments(folder, batch=batch, steps=STEPS)),
            train_dataset=Groups(
                dialogues, network.encoder, share=share, per_row=64, max_length=LONG
            ),
            data_collator=collator(network),
            callbacks=[clock],
        ).train()
    return clock.median()


def _trl(network: Network, dialogues: Sequence[Dialogue], batch: int) -> float:
    absent = [name for name in ("trl", "datasets") if find_spec(name) is None]
    if absent:
        raise ModuleNotFoundError(f"{' and '.join(absent)}: not installed")
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = training_arguments(folder, batch=batch, steps=STEPS)
        arguments["gradient_checkpointing"] = False
        SFTTrainer(
            network.model,
            args=SFTConfig(max_length=None, **arguments),
            train_dataset=Dataset.from_list([_trl_row(dialogue) for dialogue in dialogues]),
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
