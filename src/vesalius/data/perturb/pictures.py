"""Changes of a case's pictures, the words left as they are but where sides change with them.

A changed picture keeps its size, so that boxes stay where they are, and is painted when it is read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from vesalius.cases.case import Box, Case, Question
from vesalius.cases.picture import Picture
from vesalius.cases.view import CT_WINDOWS
from vesalius.data.perturb.stock import Stock
from vesalius.language.assertions import sides, swapped_sides

GREY = (127, 127, 127)
COARSER = 8
"""By how many times fewer pixels a side a picture of low resolution has."""
NARROWER = 4
"""Under the wrong window the darkest quarter of the shades takes the whole range."""
SMALLEST_TYPE = 8
"""Pixels; burned-in text is made smaller until it fits, not below this."""

Paint = Callable[[Image.Image], Image.Image]
BoxPaint = Callable[..., Image.Image]


def repaint(case: Case, mark: str, paint: Paint) -> Case:
    """The case with every picture painted anew; ``mark`` ends their keys and names the content."""
    painted = (Picture(f"{p.key}#{mark}", partial(_png, p, paint)) for p in case.pictures)
    return replace(case, pictures=tuple(painted))


def _png(picture: Picture, paint: Paint) -> bytes:
    buffer = BytesIO()
    paint(picture.pixels()).save(buffer, "PNG")
    return buffer.getvalue()


def painted(case: Case, stock: Stock, *, mark: str, paint: Paint) -> Case | None:
    """Every picture under a change that asks for nothing else."""
    del stock
    return repaint(case, mark, paint)


def boxed(case: Case, stock: Stock, *, mark: str, paint: BoxPaint) -> Case | None:
    """A change by the case's boxes, where there are some, and one picture that they lie in."""
    del stock
    if not case.boxes or len(case.pictures) != 1:
        return None
    return repaint(case, mark, partial(paint, boxes=case.boxes))


def grey(image: Image.Image) -> Image.Image:
    """Uniform grey."""
    return Image.new("RGB", image.size, GREY)


def noise(case: Case, stock: Stock) -> Case | None:
    """Every pixel drawn anew, by the seed and the case."""
    seed = stock.draws("noise", case.id).getrandbits(64)
    return repaint(case, f"noise-{seed:016x}", partial(_noise, seed=seed))


def _noise(image: Image.Image, seed: int) -> Image.Image:
    random = np.random.Generator(np.random.Philox(seed))
    return Image.fromarray(random.integers(0, 256, (image.height, image.width, 3), dtype=np.uint8))


def shuffled(case: Case, stock: Stock) -> Case | None:
    """The pictures of a case of another patient."""
    donor = stock.donor("shuffled", case)
    return None if donor is None else _with_pictures(case, donor.pictures)


def other_organ(case: Case, stock: Stock) -> Case | None:
    """The pictures of a case that shows another modality or organ."""
    donor = stock.donor("other-organ", case, other_kind=True)
    return None if donor is None else _with_pictures(case, donor.pictures)


def _with_pictures(case: Case, pictures: Sequence[Picture]) -> Case:
    """As many pictures as before, each a different one of the donor's as far as they go."""
    number = len(case.pictures)
    return replace(case, pictures=tuple((*pictures,) * number)[:number])


def inside(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """Nothing left but what lies in the boxes."""
    left = grey(image)
    for place in map(_corners, boxes):
        left.paste(image.crop(place), place)
    return left


def outside(image: Image.Image, boxes: Sequence[Box]) -> Image.Image:
    """What lies in the boxes covered."""
    left = image.copy()
    for place in map(_corners, boxes):
        left.paste(GREY, place)
    return left


def _corners(box: Box) -> tuple[int, int, int, int]:
    """The whole pixels that the box touches."""
    right, bottom = np.ceil([box.x + box.width, box.y + box.height]).astype(int)
    return int(box.x), int(box.y), int(right), int(bottom)


def coarse(image: Image.Image) -> Image.Image:
    """An eighth of the pixels each way."""
    small = [max(1, edge // COARSER) for edge in image.size]
    fewer = image.resize((small[0], small[1]), Image.Resampling.BOX)
    return fewer.resize(image.size, Image.Resampling.BILINEAR)


def wrong_window(case: Case, stock: Stock) -> Case | None:
    """The case's pictures under a window that shows other tissues."""
    del stock
    shown = (Picture(f"{p.key}#wrong-window", partial(_rewindowed, p)) for p in case.pictures)
    return replace(case, pictures=tuple(shown))


def _rewindowed(picture: Picture) -> bytes:
    """A grey DICOM's values under another window; of what has shades alone the darkest quarter."""
    own = picture.window()
    if own is None:
        return _png(picture, bright)
    extent = (own.centre - own.width / 2, own.centre + own.width / 2)
    other = farthest(extent) if own.modality == "CT" else darkest(extent)
    return _png(picture.at(replace(picture.view, window=other)), lambda image: image)


def farthest(extent: tuple[float, float]) -> tuple[float, float]:
    """The usual CT window that shares least with the range that is shown (Hounsfield units)."""

    def shared(window: tuple[float, float]) -> float:
        low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
        both = max(0.0, min(high, extent[1]) - max(low, extent[0]))
        return both / (window[1] + extent[1] - extent[0] - both)

    return min(CT_WINDOWS.values(), key=shared)


def darkest(extent: tuple[float, float]) -> tuple[float, float]:
    """The window of the lowest quarter of a range."""
    width = (extent[1] - extent[0]) / NARROWER
    return extent[0] + width / 2, width


def bright(image: Image.Image) -> Image.Image:
    """The darkest quarter of the shades over the whole range, all brighter ones white."""
    return image.point([min(255, NARROWER * shade) for shade in range(256)] * 3)


def mirrored(case: Case, stock: Stock) -> Case | None:
    """Left and right exchanged, in the picture and in the words of a question about a side."""
    del stock
    (question,) = case.questions
    if len(sides(" ".join(answer.text or "" for answer in question.answers[:1]))) != 1:
        return None
    flip = partial(_flip_boxes, case.pictures[-1])
    turned = replace(
        case,
        questions=(_other_side(question, flip),),
        boxes=case.boxes and flip(case.boxes),
    )
    return repaint(turned, "mirrored", ImageOps.mirror)


def _other_side(question: Question, flip: Callable[[Sequence[Box]], tuple[Box, ...]]) -> Question:
    answers = tuple(
        replace(a, text=a.text and swapped_sides(a.text), boxes=a.boxes and flip(a.boxes))
        for a in question.answers
    )
    options = question.options and tuple(map(swapped_sides, question.options))
    text = swapped_sides(question.text) if len(sides(question.text)) == 1 else question.text
    same = options and set(options) == set(question.options or ())
    return replace(
        question, text=text, answers=answers, options=question.options if same else options
    )


def _flip_boxes(picture: Picture, boxes: Sequence[Box]) -> tuple[Box, ...]:
    width, _ = picture.size()
    return tuple(_flipped(box, width) for box in boxes)


def _flipped(box: Box, width: int) -> Box:
    def outline(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
        return tuple((width - x, y) for x, y in points)

    return replace(
        box,
        x=width - box.x - box.width,
        polygon=box.polygon and outline(box.polygon),
        polygons=box.polygons and tuple(map(outline, box.polygons)),
    )


def burned_in_text(case: Case, stock: Stock) -> Case | None:
    """A wrong answer to the question written into the picture."""
    (question,) = case.questions
    draws = stock.draws("burned-in-text", f"{case.id}/{question.id}")
    wrong = stock.wrong_answer(question, draws)
    if wrong is None:
        return None
    mark = hashlib.sha256(wrong.encode()).hexdigest()[:16]
    return repaint(case, f"burned-in-text-{mark}", partial(written, text=wrong))


def written(image: Image.Image, text: str) -> Image.Image:
    """White on a black band at the top, in the largest type that fits, of a tenth of the height."""
    left = image.copy()
    pen = ImageDraw.Draw(left)
    size = max(SMALLEST_TYPE, image.height // 10)
    while size > SMALLEST_TYPE and pen.textlength(text, ImageFont.load_default(size)) > image.width:
        size -= 1
    font = ImageFont.load_default(size)
    pen.rectangle((0, 0, image.width, round(1.4 * size)), fill=(0, 0, 0))
    pen.text((2, 1), text, fill=(255, 255, 255), font=font)
    return left


def questions_only(case: Case, stock: Stock) -> Case | None:
    """No picture at all."""
    del stock
    questions = tuple(replace(question, shows=()) for question in case.questions)
    return replace(case, pictures=(), questions=questions)
