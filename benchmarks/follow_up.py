"""A follow-up question with what was kept of its conversation, and without; batches on and off.

The model has a CLIP-type tower (6 layers, width 384), an MLP and SmolLM2-135M, the first two random. Seconds
to the first token include reading and resizing the picture where that is done. ``next`` is the
second question of a conversation, ``other`` the first of a second one on the same picture. Both
sides are timed in turn, and the least of each is taken: other work on the machine hits both.

    python benchmarks/follow_up.py --image-tokens 49 196 576
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from dataclasses import replace
from functools import partial
from typing import Any

os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from shared_images import PATCH, build, png

from vesalius import Answer, Dialogue, Picture, Question, Turn
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.models.generative.answering.prefix_cache import PrefixCache
from vesalius.models.generative.network import assemble
from vesalius.models.generative.text.families import family
from vesalius.recipe import Decoding

FIRST = "what is the modality of this picture, and which part of the body does it show?"
NEXT = "is there a small round nodule in the {} part of the left lung?"
CACHE_BYTES = 2**30


def conversation(name: str, side: int, question: str = FIRST) -> Dialogue:
    picture = Picture(name, partial(png, sum(name.encode()), side))
    return Dialogue(name, (Turn(Question(question), (picture,)),), name)


def follow(talk: Dialogue, reply: str, question: str) -> Dialogue:
    last = replace(talk.turns[-1], reply=Answer(reply))
    return replace(talk, turns=(*talk.turns[:-1], last, Turn(Question(question))))


def first_token(model: Answerer, dialogue: Dialogue) -> float:
    started = time.perf_counter()
    stream = model.stream([dialogue], Decoding(max_new_tokens=1))
    next(stream)
    took = time.perf_counter() - started
    stream.close()
    return took


def latency(plain: Answerer, caching: Answerer, side: int, rounds: int) -> dict[str, Any]:
    best = {name: float("inf") for name in ("first", "next", "next_kept", "other", "other_kept")}
    for number in range(rounds):
        caching.prefix_cache = PrefixCache(CACHE_BYTES)
        first = conversation(f"p{number}", side)
        reply = caching.predict([first], Decoding(max_new_tokens=12))[0].text or "no"
        second = follow(first, reply, NEXT.format("upper"))
        other = conversation(f"p{number}", side, NEXT.format("lower"))
        for name, model, dialogue in (
            ("first", plain, first),
            ("next", plain, second),
            ("next_kept", caching, second),
            ("other", plain, other),
            ("other_kept", caching, other),
        ):
            best[name] = min(best[name], first_token(model, dialogue))
    return {f"{name}_s": round(seconds, 4) for name, seconds in best.items()} | {
        "next_ratio": round(best["next"] / best["next_kept"], 2),
        "other_ratio": round(best["other"] / best["other_kept"], 2),
    }


def throughput(caching: Answerer, side: int, rounds: int, new: int) -> dict[str, Any]:
    """Answers a second to eight follow-up questions of eight conversations, together and apart."""
    best = {1: float("inf"), 8: float("inf")}
    texts: dict[int, list[str]] = {}
    for _ in range(rounds):
        for size in (1, 8):
            caching.prefix_cache = PrefixCache(CACHE_BYTES)
            first = [conversation(f"q{i}", side) for i in range(8)]
            replies = caching.predict(first, Decoding(max_new_tokens=4, batch=8))
            follow_ups = [
                follow(d, p.text or "no", NEXT.format("middle"))
                for d, p in zip(first, replies, strict=True)
            ]
            started = time.perf_counter()
            answers = caching.predict(follow_ups, Decoding(max_new_tokens=new, batch=size))
            best[size] = min(best[size], time.perf_counter() - started)
            texts[size] = [p.text for p in answers]
    return {
        "answers_per_s_batch_1": round(8 / best[1], 2),
        "answers_per_s_batch_8": round(8 / best[8], 2),
        "batch_ratio": round(best[1] / best[8], 2),
        "same_answers": texts[1] == texts[8],
    }


def cell(tokens: int, rounds: int, new: int) -> dict[str, Any]:
    side = int(tokens**0.5) * PATCH
    model, processor = build(tokens)
    network = assemble(model.float().eval(), processor, family("llava"), max_length=4096)
    plain, caching = Answerer(network), Answerer(network)
    plain.predict([conversation("warm", side)], Decoding(max_new_tokens=2))
    figures = latency(plain, caching, side, rounds) | throughput(caching, side, rounds, new)
    return {"image_tokens": tokens, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--image-tokens", type=int, nargs="+", default=[49, 196, 576])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--new-tokens", type=int, default=16)
    chosen = parser.parse_args()
    print(f"{platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    for tokens in chosen.image_tokens:
        print(json.dumps(cell(tokens, chosen.rounds, chosen.new_tokens)), flush=True)


if __name__ == "__main__":
    main()
