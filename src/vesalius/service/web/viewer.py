"""A stack of pictures with its frames, windows, zoom and boxes, by mouse, touch and keyboard.

The browser's part is in ``picture_viewer``; it fetches each view from the page's own address.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import Any

import streamlit as st

from vesalius.service.http.answer_schemas import BoxOut
from vesalius.service.web.style import NOTICE
from vesalius.service.web.views import BASE

KEY = "viewer"
RATE = 10.0
"""Frames a second where the picture does not say."""
SCRIPTS = ("loader", "marks", "stage", "windows", "gestures", "viewer")
TINTS = ("#ffd166", "#5cc8ff", "#ff8fa3", "#7ae582", "#c8a2ff", "#ffab5c")
"""Colours of boxes by label; all are told from a grey picture and from each other."""
Pair = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Slice:
    """A picture of a stack: an image's id, and which of its frames, where it has several."""

    image: str
    frame: int | None = None


@dataclass(frozen=True, slots=True)
class Marks:
    """Boxes over one view: the stack's index, and a window."""

    at: int
    window: Pair | None
    boxes: Sequence[BoxOut]


@dataclass(frozen=True, slots=True)
class Scene:
    """What the viewer shows.

    ``key``: of the stack; zoom and view stay while it does. ``ticket``: for the views' address;
    ``src``: in place of that, of one picture.
    ``at``, ``window``: the view that the page stands for, which the viewer goes to if ``move`` or
    the stack is another. ``own``: the file's own window, None where none can be chosen. ``sides``,
    ``spacing``, ``inverted``: as in :class:`vesalius.cases.display.Display`.
    """

    key: str
    alt: str
    slices: Sequence[Slice]
    ticket: str = ""
    src: str = ""
    at: int = 0
    window: Pair | None = None
    move: bool = False
    own: Pair | None = None
    presets: Mapping[str, Pair | None] = field(default_factory=dict)
    unit: str = ""
    inverted: bool = False
    sides: tuple[str, str, str, str] | None = None
    spacing: Pair | None = None
    rate: float | None = None
    marks: Sequence[Marks] = ()


def show(scene: Scene, moved: Callable[[], None] | None = None) -> None:
    """Show a stack; ``moved`` is called once another view has come to rest: see :func:`view`."""
    data = asdict(scene) | {
        "base": BASE,
        "notice": NOTICE,
        "keys": _keys(scene),
        "slices": [[one.image, one.frame] for one in scene.slices],
        "presets": [[name, window] for name, window in scene.presets.items()],
        "rate": scene.rate or RATE,
        "marks": [
            {"at": one.at, "window": one.window, "boxes": _tinted(one.boxes)} for one in scene.marks
        ],
    }
    _component()(key=KEY, data=data, on_view_change=moved or (lambda: None))


def show_picture(png: bytes, *, key: str, alt: str) -> None:
    """Show one picture by its bytes, with zoom alone."""
    src = "data:image/png;base64," + b64encode(png).decode()
    show(Scene(key=key, alt=alt, slices=[Slice(key)], src=src))


def view() -> tuple[str, int | None, Pair | None] | None:
    """Image, frame and window at which the viewer has come to rest; None at first."""
    rested = (st.session_state.get(KEY) or {}).get("view")
    if rested is None:
        return None
    window = rested["window"]
    return rested["image"], rested["frame"], None if window is None else tuple(window)


def tints(boxes: Sequence[BoxOut]) -> list[str]:
    """A colour for each box: one for each label, in the order in which labels come."""
    labels = list(dict.fromkeys(box.label for box in boxes))
    return [TINTS[labels.index(box.label) % len(TINTS)] for box in boxes]


def _tinted(boxes: Sequence[BoxOut]) -> list[dict[str, Any]]:
    return [
        box.model_dump() | {"tint": tint} for box, tint in zip(boxes, tints(boxes), strict=True)
    ]


def _keys(scene: Scene) -> str:
    """What can be done by keyboard, for those who hear it."""
    keys = ["Plus and minus zoom, 0 fits, 1 is one to one"]
    if len(scene.slices) > 1:
        keys.append("arrows change the frame, P plays them")
    return "; ".join([*keys, "I inverts, B hides boxes, F fills the screen."])


@lru_cache(maxsize=1)
def _component() -> Any:
    folder = files(__package__).joinpath("picture_viewer")
    html, css = (folder.joinpath(f"viewer.{kind}").read_text("utf-8") for kind in ("html", "css"))
    js = "\n".join(folder.joinpath(f"{name}.js").read_text("utf-8") for name in SCRIPTS)
    return st.components.v2.component("vesalius.viewer", html=html, css=css, js=js)
