"""Serving against the published app's way of it, with one model, in one run.

The published way: every question decodes the picture and encodes it again, ``generate`` runs
inside the request, one after the other, and the whole answer comes at its end. Ours: the picture's
prefix is kept, questions that wait are answered together, and text comes as it is written. Several
people look at a picture each and ask a few questions about it, all at the same time; everybody's
next question comes with the answer to the last. Answers are compared.

    python benchmarks/published_app.py --people 8 --questions 4
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import time
from functools import partial
from io import BytesIO
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from PIL import Image
from shared_images import PATCH, QUESTION, build, png

from vesalius import Dialogue, Picture, Question, Turn
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.network import Network, assemble
from vesalius.models.generative.text.families import family
from vesalius.recipe import Decoding


def request(person: int, number: int, side: int) -> Dialogue:
    words = QUESTION.format(("upper", "middle", "lower")[number % 3], ("left", "right")[number % 2])
    question = Question(f"{words} ({number})")
    picture = Picture(f"p{person}", partial(png, person, side))
    return Dialogue(f"{person}/{number}", (Turn(question, (picture,)),), f"p{person}")


@torch.inference_mode()
def published(network: Network, dialogue: Dialogue, new: int) -> str:
    """One request: open the file, run the processor, generate, decode."""
    image = Image.open(BytesIO(dialogue.pictures[0].read())).convert("RGB")
    text = network.encoder.template.render(dialogue).text
    inputs = network.processor(text=[text], images=[image], return_tensors="pt")
    output = network.model.generate(
        **inputs, max_new_tokens=new, do_sample=False, eos_token_id=list(network.stops)
    )
    tail = output[0, inputs["input_ids"].shape[1] :]
    return str(network.processor.tokenizer.decode(tail, skip_special_tokens=True)).strip()


def their_way(network: Network, rounds: list[list[Dialogue]], new: int) -> dict[str, Any]:
    answers, waits = [], []
    started = time.perf_counter()
    for together in rounds:
        arrived = time.perf_counter()  # all at once; the first words are the whole answer
        for dialogue in together:
            answers.append(published(network, dialogue, new))
            waits.append(time.perf_counter() - arrived)
    return {"seconds": time.perf_counter() - started, "first": waits, "answers": answers}


def our_way(network: Network, rounds: list[list[Dialogue]], new: int) -> dict[str, Any]:
    model = Answerer(network)
    model.prefix_cache = PrefixCache(2**30)
    decoding = Decoding(max_new_tokens=new, batch=8)
    answers, waits = [], []
    started = time.perf_counter()
    for together in rounds:
        arrived, first, ended = time.perf_counter(), {}, {}
        for place, piece in model.stream(together, decoding):
            first.setdefault(place, time.perf_counter() - arrived)
            if not isinstance(piece, str):
                ended[place] = piece.text
        waits += first.values()
        answers += [ended[place] for place in range(len(together))]
    return {"seconds": time.perf_counter() - started, "first": waits, "answers": answers}


def cell(tokens: int, people: int, questions: int, new: int) -> dict[str, Any]:
    side = int(tokens**0.5) * PATCH
    model, processor = build(tokens)
    network = assemble(model.float().eval(), processor, family("llava"), max_length=4096)
    rounds = [[request(person, n, side) for person in range(people)] for n in range(questions)]
    published(network, rounds[0][0], 2)
    theirs, ours = their_way(network, rounds, new), our_way(network, rounds, new)
    count = people * questions
    middle = {name: statistics.median(way["first"]) for name, way in (("t", theirs), ("o", ours))}
    return {
        "image_tokens": tokens,
        "answers_per_s_published": round(count / theirs["seconds"], 2),
        "answers_per_s_ours": round(count / ours["seconds"], 2),
        "throughput_ratio": round(theirs["seconds"] / ours["seconds"], 2),
        "first_words_s_published": round(middle["t"], 3),
        "first_words_s_ours": round(middle["o"], 3),
        "first_words_ratio": round(middle["t"] / middle["o"], 2),
        "same_answers": theirs["answers"] == ours["answers"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image-tokens", type=int, nargs="+", default=[49, 196, 576])
    parser.add_argument("--people", type=int, default=8)
    parser.add_argument("--questions", type=int, default=4)
    parser.add_argument("--new-tokens", type=int, default=16)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for tokens in chosen.image_tokens:
        row = cell(tokens, chosen.people, chosen.questions, chosen.new_tokens)
        print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
