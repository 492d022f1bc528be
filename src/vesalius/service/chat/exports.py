"""A conversation as one HTML page that stands alone: words, pictures, where they came from."""

from __future__ import annotations

import base64
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib.resources import files

import jinja2

from vesalius.errors import VesaliusError
from vesalius.evaluation.formatting import flat
from vesalius.service.container import Service
from vesalius.service.http.answer_schemas import ConversationWhole, TurnOut
from vesalius.service.http.schemas import view_of
from vesalius.service.threads import in_thread

SIDE = 1024
"""Pixels of the longer side of a picture in the page: it is to be read, not to be diagnosed."""
SAVED = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
"""What the page may do, written in it, so that it holds for a file that somebody saved."""
POLICY = f"{SAVED}; frame-ancestors 'none'; sandbox"
"""The same as a header, which may say more (Content Security Policy 3, 3.3)."""


@dataclass(slots=True)
class Plate:
    """A view as the page draws it: its data URL (empty: no longer kept), its size in pixels.

    ``drawn``: its bytes stand in the page already, and a later turn refers to them by ``name``.
    """

    name: str
    url: str
    width: int = 0
    height: int = 0
    drawn: bool = False


async def page(service: Service, owner: str, whole: ConversationWhole) -> str:
    """The page; a view is drawn where it is first asked about, and under the boxes of an answer."""
    plates: dict[tuple[object, ...], Plate] = {}
    turns: list[tuple[TurnOut, Plate | None]] = []
    for turn in whole.messages:
        key = (turn.image_id, view_of(turn.frame, turn.window))
        if turn.image_id is not None and key not in plates:
            plates[key] = await _plate(service, owner, f"view-{len(plates)}", turn)
            turns.append((turn, plates[key]))
        else:
            known = plates.get(key)
            turns.append((turn, replace(known, drawn=True) if known and turn.boxes else None))
    render = partial(_template().render, conversation=whole, turns=turns, facts=flat, policy=SAVED)
    return await in_thread(render)


async def _plate(service: Service, owner: str, name: str, turn: TurnOut) -> Plate:
    """The view that a turn is about; without a URL where the picture's time has passed."""
    try:
        image = await in_thread(service.store.image, owner, turn.image_id or "")
        data = await in_thread(service.store.read_picture, image)
    except VesaliusError as error:
        if error.code not in {"not_found", "image_expired", "image_missing"}:
            raise
        return Plate(name, "")
    png = await service.intake.png(data, view_of(turn.frame, turn.window), owner, SIDE)
    url = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return Plate(name, url, image.width, image.height)


@cache
def _template() -> jinja2.Template:
    text = (files("vesalius.service.chat") / "templates" / "conversation.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text)
