"""Prediction at released sizes: eleven questions about a picture behind one prefix, or each apart.

Apart: the same questions about equal pictures of different names, between which nothing can be shared;
all else (batch, code, new tokens) is the same. Random weights write no end, so all rows are written
to the last token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from benchmarks.gpu.shapes import Shape, learner, png, talk
from benchmarks.gpu.tasks import Tasks, peak_gib, release, too_old
from benchmarks.gpu.training import SHAPES

from vesalius import Dialogue, Picture, Turn
from vesalius.models.generative.answering.answerer import Answerer
from vesalius.recipe import Decoding

QUESTIONS, NEW = 11, 16
CLOSE = 0.2
"""How far confidences may be apart, relatively: in bf16 a random model's next token hangs by a hair."""


def tasks(*, small: bool) -> Tasks:
    """A row for each shape."""
    for shape in SHAPES:
        yield (
            {"shape": shape, "questions": QUESTIONS, "new_tokens": NEW},
            partial(_shape, shape, small),
        )


def _shape(shape: str, small: bool) -> dict[str, Any]:
    if (lack := too_old(Shape(shape, small=small).family())) is not None:
        return {"skipped": lack}
    release()
    side = 64 if small else 560
    asked = [d.replying(None) for d in talk(1, QUESTIONS, side=side)]
    made = learner(shape, small=small)
    model, processor = made.blueprint.origin.base(talk(1, QUESTIONS, side=64), 0, None)
    model.eval()
    answerer = Answerer(made.blueprint.network(model, processor))
    decoding = Decoding(max_new_tokens=NEW, batch=QUESTIONS)
    together, shared = _timed(lambda: answerer.predict(asked, decoding))
    copies = [_copy(d, i, side) for i, d in enumerate(asked)]
    apart, alone = _timed(lambda: answerer.predict(copies, decoding))
    # A small tokenizer has no words for most of a published vocabulary: of texts alone little is seen.
    sure = [[p.confidence.value for p in some if p.confidence] for some in (together, apart)]
    off = max(abs(a - b) / a for a, b in zip(*sure, strict=True))
    return {
        "shared_s": round(shared["s"], 3),
        "apart_s": round(alone["s"], 3),
        "ratio": round(alone["s"] / shared["s"], 2),
        "shared_peak_gib": shared["peak"],
        "apart_peak_gib": alone["peak"],
        "confidence_off": round(off, 4),
        "ok": off < CLOSE,
    }


def _copy(dialogue: Dialogue, number: int, side: int) -> Dialogue:
    picture = Picture(f"copy {number}", partial(png, 0, side))
    return Dialogue(dialogue.id, (Turn(dialogue.question, (picture,)),), dialogue.group)


def _timed(work: Callable[[], Sequence[Any]]) -> tuple[Sequence[Any], dict[str, Any]]:
    """What it gives, and the better of two times after a first that warms up."""
    work()
    release()
    seconds = []
    for _ in range(2):
        started = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - started)
    return result, {"s": min(seconds), "peak": peak_gib()}
