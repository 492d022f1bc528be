"""Jobs to ask an engine with, and what came back."""

from __future__ import annotations

import io
import time
from contextlib import aclosing
from dataclasses import replace
from functools import partial

from PIL import Image

from vesalius import Answer, Dialogue, Picture, Prediction, Question, Turn
from vesalius.recipe import Decoding
from vesalius.service.engine import Engine, Job


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (48, 40), (shade, 255 - shade, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def picture(shade: int = 60) -> Picture:
    return Picture(f"shade-{shade}", partial(png, shade))


def job(
    name: str,
    question: str = "what is this?",
    *,
    past: tuple[tuple[str, str], ...] = (),
    image: Picture | None = None,
    new: Picture | None = None,
    seconds: float = 60.0,
    **decoding: object,
) -> Job:
    """A question behind earlier ones with their replies; the picture stands in the first turn.

    ``new``: a picture that is shown with the question itself.
    """
    questions = [*past, (question, None)]
    turns = tuple(
        Turn(
            Question(words),
            (image or picture(),) if place == 0 else (),
            None if reply is None else Answer(reply),
        )
        for place, (words, reply) in enumerate(questions)
    )
    if new is not None:
        turns = (*turns[:-1], replace(turns[-1], pictures=(*turns[-1].pictures, new)))
    how = Decoding(**{"max_new_tokens": 8, **decoding})
    return Job(name, Dialogue(name, turns, name), how, time.monotonic() + seconds)


async def collect(engine: Engine, request: Job) -> tuple[list[str], Prediction]:
    """The texts and the prediction; exactly one, and last."""
    async with aclosing(engine.stream(request)) as stream:
        pieces = [piece async for piece in stream]
    *texts, prediction = pieces
    assert all(isinstance(text, str) for text in texts)
    assert isinstance(prediction, Prediction)
    assert "".join(texts).strip() == prediction.text
    return texts, prediction
