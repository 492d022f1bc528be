"""A dialogue as a request for a chat completion, pictures in the turns that show them."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable
from typing import Any

from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.cases.picture import Picture
from vesalius.errors import ModelError
from vesalius.recipe import Decoding

_CONTROL = re.compile(
    r"<(?=[^\s<>]{1,64}>)|\[(?=/?(?=[A-Za-z])[a-z]*[A-Z0-9_]\w{0,30}\])", re.ASCII
)
"""Where a word begins that could be a control token of some model."""


def request_body(
    dialogue: Dialogue, decoding: Decoding, model: str | None, url_of: Callable[[Picture], str]
) -> dict[str, Any]:
    """The request for the dialogue's last turn, streamed, with token probabilities.

    ``url_of`` gives a picture's ``data:`` URL. ModelError where the decoding searches by beams.
    """
    if decoding.beams > 1:
        raise ModelError("a server's answers are not searched for by beams", hint="decoding.beams")
    body: dict[str, Any] = {
        "model": model,
        "messages": _messages(dialogue, url_of),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": decoding.max_new_tokens,
        "temperature": decoding.temperature,
        "seed": decoding.seed,
        "logprobs": True,
    }
    return body if decoding.min_p is None else body | {"min_p": decoding.min_p}


def without_probabilities(body: dict[str, Any]) -> dict[str, Any]:
    """The request as servers take it that know neither token probabilities nor usage."""
    return {key: v for key, v in body.items() if key not in {"logprobs", "stream_options"}}


def _messages(dialogue: Dialogue, url_of: Callable[[Picture], str]) -> list[dict[str, Any]]:
    context = "".join(f"{name.capitalize()}: {text}\n" for name, text in dialogue.context.items())
    messages: list[dict[str, Any]] = []
    if dialogue.system is not None:
        words = without_control_tokens(dialogue.system)
        messages.append({"role": "system", "content": words})
    for number, turn in enumerate(dialogue.turns):
        messages.append(_question(turn, context if number == dialogue.examples else "", url_of))
        if turn.reply is not None:
            reply = without_control_tokens(turn.reply.text or "")
            messages.append({"role": "assistant", "content": reply})
    return messages


def _question(turn: Turn, context: str, url_of: Callable[[Picture], str]) -> dict[str, Any]:
    words = without_control_tokens(context + " ".join(turn.question.text.split()))
    urls = [url_of(picture) for picture in turn.pictures]
    images = [{"type": "image_url", "image_url": {"url": url}} for url in urls if url]
    return {"role": "user", "content": [*images, {"type": "text", "text": words}]}


def data_url(picture: Picture) -> str:
    """A picture's pixels, exactly those that every model here sees, as the URL of a PNG."""
    buffer = io.BytesIO()
    picture.pixels().save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def without_control_tokens(text: str) -> str:
    """The text with words of the form of a control token broken by a zero-width space.

    A server tokenises its template and the words in it together, so that ``<|im_end|>`` in a
    question would end the user's turn. Which tokens its model has is not known here: words of the
    usual forms (``<...>`` without blanks, ``[INST]``, ``[unused1]``) are broken, and read as
    before.
    """
    return _CONTROL.sub(lambda match: f"{match[0]}\u200b", text)
