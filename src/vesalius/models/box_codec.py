"""Boxes as text, in the convention of a model's family, and text as boxes.

Sources: Qwen2.5-VL and Qwen3-VL cookbooks (``bbox_2d``, in pixels of the resized picture and from 0
to 1000); PaliGemma's model card (four location tokens in the order y, x, y, x, then the label);
InternVL's chat data format (``<ref>`` and ``<box>``, from 0 to 1000); MedGemma 1.5's notebook on
anatomy, and Gemma 4 (``box_2d``, y before x, from 0 to 1000).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from vesalius.cases.case import Answer, Box
from vesalius.cases.picture import Picture
from vesalius.cases.tasks import Content
from vesalius.errors import ModelError
from vesalius.models.box_convention import (
    CLASS,
    BoxConvention,
    Resized,
    Size,
    UnreadBox,
)
from vesalius.models.box_forms import FORMS, LOCATION, REFERENCE_TOKENS
from vesalius.models.decoded import Decoded

_THINGS = (
    r"(?:bounding )?box(?:es)?|objects?|regions?|detections?|findings?|lesions?|abnormalit(?:y|ies)"
)
_NOTHING = (
    r"(?:there (?:is|are) )?(?:none|nothing|no (?:visible |significant )?(?:{things}))"
    r"(?: (?:is|are|was|were))?(?: (?:present|visible|seen|found|detected|identified))?"
    r"(?: (?:here|(?:in|on) (?:this|the) (?:image|picture|scan|slice)))?"
)
"""An empty list in words. A bare "no" is none: to "is this normal?" it says the opposite."""


@dataclass(frozen=True, slots=True)
class BoxCodec:
    """Boxes in a convention; outlines and scores are not written.

    ``resized``: the size (width, height) in which the model sees a picture of a size, for a
    convention that counts in those pixels; without it, the picture's own. ``classes``: the only
    ones that a box may have; None: any.
    """

    convention: BoxConvention
    resized: Resized | None = None
    classes: tuple[str, ...] | None = None
    name: Content = "boxes"

    def encode(self, answer: Answer, picture: Picture | None) -> str:
        """The boxes in their order, without regions of many; ModelError where one cannot be."""
        if picture is None:
            raise ModelError("boxes lie in a picture, and there is none")
        size, boxes = picture.size(), [box for box in answer.boxes or () if not box.crowd]
        corners = [self.convention.corners(box, size, self.resized) for box in boxes]
        rows = list(zip(corners, (box.label for box in boxes), strict=True))
        return FORMS[self.convention.style].write(rows, self.convention.key)

    def decode(self, text: str, picture: Picture | None) -> Decoded:
        """The boxes in pixels of the picture as decoded; the text stays.

        What is no box by the letter of the convention becomes none and is counted by why. Where
        nothing but that is written, the answer has no boxes, not even none: it is no answer.
        """
        if picture is None:
            return Decoded(Answer(text=text))
        if self._says_nothing(text):
            return Decoded(Answer(text=text, boxes=()))
        boxes, faults, size = list[Box](), Counter[str](), picture.size()
        for row in FORMS[self.convention.style].rows(text, self.convention.key):
            try:
                boxes.append(self._box(row, size))
            except UnreadBox as fault:
                faults[str(fault)] += 1
        read = None if faults and not boxes else tuple(boxes)
        return Decoded(Answer(text=text, boxes=read), dict(sorted(faults.items())))

    def holds(self, answer: Answer) -> bool:
        """Whether it has boxes, be it none."""
        return answer.boxes is not None

    def is_own(self, token: str) -> bool:
        """Whether the convention writes boxes with it."""
        if self.convention.style == "refs":
            return token in REFERENCE_TOKENS
        return self.convention.style == "tokens" and LOCATION.fullmatch(token) is not None

    def _box(self, row: tuple[Any, Any] | str, size: Size) -> Box:
        if isinstance(row, str):
            raise UnreadBox(row)
        corners, label = row
        label = label.strip() if isinstance(label, str) else ""
        box = self.convention.box(corners, label, size, self.resized)
        if not label or (self.classes is not None and label not in self.classes):
            raise UnreadBox(CLASS)
        return box

    def _says_nothing(self, text: str) -> bool:
        """Whether the words are those of an empty list; a class that is alone may stand in them."""
        things = _THINGS
        if self.classes is not None and len(self.classes) == 1:
            things += "|" + re.escape(self.classes[0])
        words = " ".join(text.split()).rstrip(".")
        return re.fullmatch(_NOTHING.format(things=things), words, re.IGNORECASE) is not None
