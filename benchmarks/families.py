"""Every family's training and prediction with shared images against rows apart, in one run.

Apart: one row a question, the picture encoded again for each, as collators ordinarily do; model,
pictures, questions, optimizer work and precision are the same on both sides (so are our masks and
the language-model head at label places, which an ordinary collator lacks: see shared_images.py for
that). A step is the forward and backward pass of one picture with all of its questions.

    python benchmarks/families.py --questions 4 11
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import yaml
from PIL import Image

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.rows.groups import Groups, collator
from vesalius.models.generative.text.families import families, family
from vesalius.models.generative.weights import tiny
from vesalius.recipe import Decoding

QUESTION = "is there a small round nodule in the {} part of the {} lung in picture {}?"
SIZES = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def talk(pictures: int, questions: int) -> list[Dialogue]:
    dialogues = []
    for i in range(pictures):
        picture = Picture(f"p{i}", partial(png, i))
        for q in range(questions):
            text = QUESTION.format(("upper", "middle", "lower")[q % 3], ("left", "right")[q % 2], q)
            question = Question(text, answers=(Answer(f"yes, one of {q + 2} mm"),))
            dialogues.append(Dialogue(f"{i}/{q}", (Turn(question, (picture,)),), f"p{i}"))
    return dialogues


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (112, 112, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def grown(name: str) -> dict[str, Any]:
    """The family's tiny form with the benchmark's sizes over it."""
    about = copy.deepcopy(tiny.sizes()[name])
    text, own = about["text"], SIZES[name]
    if text.get("model_type") != "t5":
        known = {"ffn_dim", "word_embed_proj_dim"} if text.get("model_type") == "opt" else set()
        drop = {"intermediate_size", "num_key_value_heads"} if known else set()
        text |= {k: v for k, v in SIZES["text"].items() if k not in drop}
    if "depth" not in about["vision"] and name != "mllama":
        about["vision"] |= SIZES["vision"]
    for block, values in own.items():
        about[block] = {**about.get(block, {}), **values}
    return about


def network(name: str, dialogues: list[Dialogue]) -> Network:
    model, processor = tiny.from_sizes(grown(name), dialogues, seed=0)
    row = family(name)
    for part, value in model.named_parameters():
        value.requires_grad_(not part.startswith(row.parts["vision"]))
    return assemble(model, processor, row, max_length=4096)


def median(work: Callable[[], Any], repeats: int) -> float:
    work()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def cell(name: str, questions: int, repeats: int) -> dict[str, Any]:
    dialogues = talk(1, questions)
    net = network(name, dialogues)
    options = {"per_row": 64, "max_length": 4096}
    batch = collator(net)
    together = Groups(dialogues, net.encoder, share=True, **options)
    apart = Groups(dialogues, net.encoder, share=False, **options)
    shared = batch([together[0]])
    alone = batch([apart[i] for i in range(questions)])

    def step(given: dict[str, Any]) -> None:
        net.model.train()
        net.model.zero_grad()
        net.model(**{k: v for k, v in given.items() if k not in {"ids", "tokens"}}).loss.backward()

    ours, theirs = (median(partial(step, given), repeats) for given in (shared, alone))
    model, decoding = Answerer(net), Decoding(max_new_tokens=8, batch=questions)
    prompts = [d.replying(None) for d in dialogues]
    answers = model.predict(prompts, decoding)
    # Asked about equal pictures of different names, nothing can be shared.
    copies = [
        Dialogue(d.id, (Turn(d.question, (Picture(f"{i}", partial(png, 0)),)),), d.group)
        for i, d in enumerate(prompts)
    ]
    assert [p.text for p in model.predict(copies, decoding)] == [p.text for p in answers]
    ours_predict = median(lambda: model.predict(prompts, decoding), repeats)
    theirs_predict = median(lambda: model.predict(copies, decoding), repeats)
    return {
        "family": name,
        "questions": questions,
        "image_tokens": together[0][0].prefix.image_tokens,
        "language_shared": net.layout.shared,
        "train_s": round(ours, 3),
        "train_s_apart": round(theirs, 3),
        "train_ratio": round(theirs / ours, 2),
        "predict_s": round(ours_predict, 3),
        "predict_s_apart": round(theirs_predict, 3),
        "predict_ratio": round(theirs_predict / ours_predict, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--questions", type=int, nargs="+", default=[4, 11])
    parser.add_argument("--families", nargs="+", default=sorted(families()))
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, fp32")
    for name in options.families:
        for questions in options.questions:
            print(json.dumps(cell(name, questions, options.repeats)), flush=True)


if __name__ == "__main__":
    main()
