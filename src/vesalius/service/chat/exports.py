"""A conversation as one HTML page that stands alone: words, pictures, where they came from."""

from __future__ import annotations

import base64
from functools import cache, partial
from importlib.resources import files

import jinja2

from vesalius.errors import VesaliusError
from vesalius.evaluation.formatting import flat
from vesalius.service.container import Service
from vesalius.service.http.schemas import ConversationWhole
from vesalius.service.threads import in_thread

SIDE = 1024
"""Pixels of the longer side of a picture in the page: it is to be read, not to be diagnosed."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"


async def page(service: Service, owner: str, whole: ConversationWhole) -> str:
    """The page; every view is shown once, where it was first asked about."""
    urls: dict[tuple[object, ...], str] = {}
    views: list[str | None] = []
    for turn in whole.messages:
        window = None if turn.window is None else (turn.window.centre, turn.window.width)
        key = (turn.image_id, turn.frame, window)
        if key in urls or turn.image_id is None:
            views.append(None)
            continue
        urls[key] = await _picture(service, owner, turn.image_id, turn.frame, window)
        views.append(urls[key])
    turns = list(zip(whole.messages, views, strict=True))
    render = partial(_template().render, conversation=whole, turns=turns, facts=flat)
    return await in_thread(render)


async def _picture(
    service: Service,
    owner: str,
    image_id: str,
    frame: int | None,
    window: tuple[float, float] | None,
) -> str:
    """The view as a data URL; empty where the picture's time has passed."""
    try:
        image = await in_thread(service.store.image, owner, image_id)
        data = await in_thread(service.store.read_picture, image)
    except VesaliusError as error:
        if error.code not in {"not_found", "image_expired", "image_missing"}:
            raise
        return ""
    png = await service.intake.png(data, frame, window, SIDE)
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


@cache
def _template() -> jinja2.Template:
    text = (files("vesalius.service.chat") / "templates" / "conversation.html").read_text("utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(text)
