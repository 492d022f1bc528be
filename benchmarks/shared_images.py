"""Training and prediction with shared images against the ordinary way, side by side in one run.

The ordinary way is TRL's own: SFTTrainer with its vision-language collator, one row a question,
the picture encoded again for each; and for prediction ``generate`` on left-padded rows of the same
kind. Both sides have the same model (a CLIP-type tower, an MLP, SmolLM2-135M with LoRA), pictures,
questions and precision; a step is one picture with all of its questions.

The theoretical ratio counts decoder tokens alone: Q (N + L) / (N + Q L) for Q questions of L
tokens on a picture of N tokens.

    python benchmarks/shared_images.py --questions 4 11 --image-tokens 49 196 576
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

import datasets
import numpy as np
import torch
from peft import LoraConfig
from PIL import Image
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    CLIPVisionModel,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from trl import SFTConfig, SFTTrainer

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.models import composing
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.text.families import family
from vesalius.recipe import Decoding
from vesalius.training.parts import prepare
from vesalius.training.settings import Adapter

QUESTION = "is there a small round nodule in the {} part of the {} lung in this picture?"
ANSWER = "yes, one of {} mm"
PATCH = 14


def build(tokens: int) -> tuple[Any, Any]:
    side = int(tokens**0.5) * PATCH
    config = CLIPVisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=6,
        num_attention_heads=6,
        image_size=side,
        patch_size=PATCH,
    )
    images = CLIPImageProcessor(
        size={"shortest_edge": side}, crop_size={"height": side, "width": side}
    )
    torch.manual_seed(0)
    tower = composing.Vision(CLIPVisionModel(config), images, class_token=True)
    return composing.compose(tower, composing.language("smollm2", {}, words=(), vocabulary=640))


def png(seed: int, side: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def talk(pictures: int, questions: int, side: int) -> list[Dialogue]:
    dialogues = []
    for i in range(pictures):
        picture = Picture(f"p{i}", partial(png, i, side))
        for q in range(questions):
            text = QUESTION.format(("upper", "middle", "lower")[q % 3], ("left", "right")[q % 2])
            question = Question(text, answers=(Answer(ANSWER.format(q + 2)),))
            dialogues.append(Dialogue(f"{i}/{q}", (Turn(question, (picture,)),), f"p{i}"))
    return dialogues


class Clock(TrainerCallback):
    """Seconds of each optimizer step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._at = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self._at)


def shared(network: Network, dialogues: list[Dialogue], steps: int, folder: str) -> float:
    roles = {"vision": "frozen", "projector": "frozen", "language": "adapter"}
    model = prepare(
        network.model, network.family.parts, roles, Adapter(r=16), network.family.targets
    )
    items = Groups(dialogues, network.encoder, share=True, per_row=64, max_length=4096)
    arguments = TrainingArguments(output_dir=folder, per_device_train_batch_size=1, **common(steps))
    clock = Clock()
    trainer = Trainer(model, arguments, _without_ids(collator(network)), items, callbacks=[clock])
    trainer.train()
    return statistics.median(clock.seconds[1:])


def _without_ids(collate: Callable[[Any], dict[str, Any]]) -> Callable[[Any], dict[str, Any]]:
    return lambda items: {k: v for k, v in collate(items).items() if k not in {"ids", "tokens"}}


def ordinary(
    network: Network, dialogues: list[Dialogue], questions: int, steps: int, folder: str
) -> float:
    rows = [
        {
            "images": [d.pictures[0].pixels()],
            "prompt": [
                {
                    "role": "user",
                    "content": [{"type": "image"}, {"type": "text", "text": d.question.text}],
                }
            ],
            "completion": [
                {
                    "role": "assistant",
                    "content": [{"type": "text", "text": d.question.answers[0].text}],
                }
            ],
        }
        for d in dialogues
    ]
    clock = Clock()
    settings = common(steps) | {"gradient_checkpointing": False}
    trainer = SFTTrainer(
        network.model,
        args=SFTConfig(
            output_dir=folder, per_device_train_batch_size=questions, max_length=None, **settings
        ),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=network.processor,
        peft_config=LoraConfig(
            r=16,
            lora_alpha=32,
            target_modules=r"model\.language_model\..*\.(q|k|v|o|gate|up|down)_proj",
        ),
        callbacks=[clock],
    )
    trainer.train()
    return statistics.median(clock.seconds[1:])


def common(steps: int) -> dict[str, Any]:
    return {
        "max_steps": steps,
        "learning_rate": 1e-4,
        "bf16": True,
        "use_cpu": not torch.cuda.is_available(),
        "report_to": "none",
        "save_strategy": "no",
        "disable_tqdm": True,
        "logging_strategy": "no",
        "remove_unused_columns": False,
        "seed": 0,
    }


def predicted(network: Network, dialogues: list[Dialogue], new: int) -> tuple[float, list[str]]:
    model = Answerer(network)
    decoding = Decoding(max_new_tokens=new, batch=len(dialogues))
    return timed(lambda: [p.text for p in model.predict(dialogues, decoding)])


@torch.inference_mode()
def predicted_ordinarily(
    network: Network, dialogues: list[Dialogue], new: int
) -> tuple[float, list[str]]:
    processor, model = network.processor, network.model.eval()
    processor.tokenizer.padding_side = "left"

    def once() -> list[str]:
        texts = [network.encoder.template.render(d).text for d in dialogues]
        inputs = processor(
            text=texts,
            images=[[d.pictures[0].pixels()] for d in dialogues],
            padding=True,
            return_tensors="pt",
        )
        output = model.generate(
            **inputs, max_new_tokens=new, do_sample=False, eos_token_id=list(network.stops)
        )
        tails = output[:, inputs["input_ids"].shape[1] :]
        return [
            t.strip() for t in processor.tokenizer.batch_decode(tails, skip_special_tokens=True)
        ]

    return timed(once)


def timed(work: Callable[[], list[str]]) -> tuple[float, list[str]]:
    work()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        answers = work()
        seconds.append(time.perf_counter() - started)
    return min(seconds), answers


def cell(questions: int, tokens: int, steps: int, new: int) -> dict[str, Any]:
    side = int(tokens**0.5) * PATCH
    dialogues = talk(steps, questions, side)

    def fresh(dtype: torch.dtype) -> Network:
        model, processor = build(tokens)
        return assemble(model.to(dtype), processor, family("llava"), max_length=4096)

    network = fresh(torch.bfloat16)
    row = Groups(dialogues[:questions], network.encoder, share=True, per_row=64, max_length=4096)[
        0
    ][0]
    own = (row.length - tokens) / questions
    with tempfile.TemporaryDirectory() as folder:
        ours = shared(network, dialogues, steps, folder)
        theirs = ordinary(fresh(torch.bfloat16), dialogues, questions, steps, folder)
    network = fresh(torch.float32)
    ours_predict, answers = predicted(network, dialogues[:questions], new)
    theirs_predict, expected = predicted_ordinarily(network, dialogues[:questions], new)
    theory = questions * (tokens + own) / (tokens + questions * own)
    return {
        "questions": questions,
        "image_tokens": tokens,
        "train_s_shared": round(ours, 3),
        "train_s_ordinary": round(theirs, 3),
        "train_ratio": round(theirs / ours, 2),
        "theoretical_ratio": round(theory, 2),
        "share_of_theory": round(theirs / ours / theory, 2),
        "predict_s_shared": round(ours_predict, 3),
        "predict_s_ordinary": round(theirs_predict, 3),
        "predict_ratio": round(theirs_predict / ours_predict, 2),
        "same_answers": answers == expected,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, nargs="+", default=[4, 11])
    parser.add_argument("--image-tokens", type=int, nargs="+", default=[49, 196, 576])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=8)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for tokens in chosen.image_tokens:
        for questions in chosen.questions:
            print(json.dumps(cell(questions, tokens, chosen.steps, chosen.new_tokens)), flush=True)


if __name__ == "__main__":
    main()
