"""A contact sheet: some cases with their words and boxes, as one picture or one HTML page."""

from __future__ import annotations

import base64
import textwrap
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO

from jinja2 import Environment, PackageLoader
from PIL import Image, ImageDraw, ImageFont

from vesalius.cases.case import Box, Case
from vesalius.errors import DatasetError, ImageError

TILE = 256
WORDS = 7
"""Lines of text below a picture on the PNG sheet."""
LINE = 15
CROWD = " (crowd)"
SECOND = "#2ec4b6"
"""Of outlines, and of boxes with a score: those that a model drew."""
PAPER, INK, FAINT, MARK, GROUND = "#ffffff", "#1d2733", "#6a7684", "#ff9f1c", "#0d1117"


@dataclass(frozen=True, slots=True)
class Tile:
    """A case as shown: its scaled picture with boxes (or why there is none), and its words."""

    case: Case
    image: Image.Image | None
    fault: str | None = None

    @property
    def boxes(self) -> str:
        """Its boxes by class, or that it is a negative; empty where nobody annotated any."""
        if self.case.boxes is None:
            return ""
        numbers = Counter(box.label + CROWD * box.crowd for box in self.case.boxes)
        listed = ", ".join(f"{number} {label}" for label, number in sorted(numbers.items()))
        return listed or "negative: no box"

    @property
    def data(self) -> str:
        """The picture as a ``data:`` address, so that a page needs no other file."""
        if self.image is None:
            return ""
        file = BytesIO()
        self.image.save(file, format="JPEG", quality=85)
        return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def tiles(cases: Iterable[Case], size: int = TILE) -> list[Tile]:
    """The cases as tiles of at most ``size`` pixels a side; an unreadable picture says why."""
    return [_tile(case, size) for case in cases]


def sheet_png(cases: Iterable[Case], *, columns: int = 4, size: int = TILE) -> bytes:
    """A PNG sheet of the cases, ``columns`` a row; text that does not fit is cut short (…)."""
    images = tiles(cases, size)
    if not images:
        raise DatasetError("there is no case to show")
    gap, high = 16, size + WORDS * LINE + 8
    across = min(columns, len(images))
    down = -(-len(images) // across)
    sheet = Image.new("RGB", (across * (size + gap) + gap, down * (high + gap) + gap), PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, tile in enumerate(images):
        left = gap + number % across * (size + gap)
        top = gap + number // across * (high + gap)
        draw.rectangle((left, top, left + size - 1, top + size - 1), fill=GROUND)
        if tile.image is not None:
            inset = ((size - tile.image.width) // 2, (size - tile.image.height) // 2)
            sheet.paste(tile.image, (left + inset[0], top + inset[1]))
        _write(draw, (left, top + size + 4), _lines(tile), size)
    file = BytesIO()
    sheet.save(file, format="PNG")
    return file.getvalue()


def sheet_html(cases: Iterable[Case], *, title: str, size: int = 384) -> str:
    """A self-contained page of the cases, light or dark as the reader's system is."""
    environment = Environment(loader=PackageLoader("vesalius.data"), autoescape=True)
    return environment.get_template("sheet.html").render(title=title, tiles=tiles(cases, size))


def _tile(case: Case, size: int) -> Tile:
    if not case.pictures:
        return Tile(case, None, "text only")
    try:
        image = case.pictures[0].pixels()
    except ImageError as error:
        return Tile(case, None, error.what)
    scale = size / max(image.size)
    shape = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small = image.resize(shape, Image.Resampling.LANCZOS)
    draw_boxes(small, case.boxes or (), scale)
    return Tile(case, small)


def draw_boxes(image: Image.Image, boxes: Sequence[Box], scale: float = 1.0) -> None:
    """Draw boxes (in pixels of the unscaled picture), their outlines and labels onto ``image``."""
    draw = ImageDraw.Draw(image)
    for box in boxes:
        left, top = box.x * scale, box.y * scale
        corner = (left + box.width * scale, top + box.height * scale)
        ink = MARK if box.score is None else SECOND
        draw.rectangle((left, top, *corner), outline=ink, width=2)
        for outline in box.outlines:
            draw.polygon([(x * scale, y * scale) for x, y in outline], outline=SECOND)
        label = box.label + CROWD * box.crowd
        label += "" if box.score is None else f" {box.score:.2f}"
        most = image.width - draw.textlength(label, font=_font())  # else it is cut at the edge
        place = (max(0.0, min(left + 3, most)), max(0.0, top - 13))
        draw.rectangle(draw.textbbox(place, label, font=_font()), fill=GROUND)
        draw.text(place, label, fill=ink, font=_font())


def _lines(tile: Tile) -> list[tuple[str, str]]:
    case = tile.case
    lines = [(case.id, FAINT)]
    if tile.fault:
        lines.append((tile.fault, MARK))
    if tile.boxes:
        lines.append((tile.boxes, INK))
    if case.caption:
        lines.append((case.caption, INK))
    for question in case.questions:
        answers = " / ".join(answer.text or "" for answer in question.answers) or "(no answer)"
        lines.append((f"{question.text} {answers}", INK))
    return lines


def _write(
    draw: ImageDraw.ImageDraw, at: tuple[int, int], lines: Sequence[tuple[str, str]], width: int
) -> None:
    letters = width // 7
    folded = [(part, ink) for text, ink in lines for part in textwrap.wrap(text, letters) or [""]]
    if len(folded) > WORDS:
        last = folded[WORDS - 1]
        folded = [*folded[: WORDS - 1], (f"{last[0][: letters - 2]} …", last[1])]
    for number, (text, ink) in enumerate(folded):
        draw.text((at[0], at[1] + number * LINE), text, fill=ink, font=_font())


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(12)
