"""Questions that boxes answer in words: presence, count, side, place and size.

One rendering makes references of a data set's boxes and answers of a detector's, so that a detector
and a model that writes are asked the same, under the same conventions. Sides and places are those
of the picture as it is shown: a box does not tell the patient's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from vesalius.cases.case import Answer, Box, Question
from vesalius.language.questions import bare_noun, normal, parse_question, table

BoxKind = Literal["presence", "count", "side", "place", "size"]
KINDS: tuple[BoxKind, ...] = get_args(BoxKind)
SMALL, LARGE = 0.02, 0.1
"""Shares of the picture's area: below the one a box is small, above the other it is large."""
NONE = "none"
"""What is answered to a question about a thing that is not marked."""
SIDES = ("left", "right")
PLACES = ("upper left", "upper right", "lower left", "lower right")
SIZES = ("small", "medium", "large")
OPTIONS: dict[BoxKind, tuple[str, ...]] = {
    "presence": ("yes", "no"), "side": SIDES, "place": PLACES, "size": SIZES
}  # fmt: skip
WORDINGS: dict[BoxKind, str] = {
    "presence": "Is there any {label} in this image?",
    "count": "How many {label} regions are there in this image?",
    "side": "On which side of the image is the {label}: left or right?",
    "place": "In which quarter of the image is the {label}: upper left, upper right, lower left or"
    " lower right?",
    "size": "How large is the {label}: small (under 2 % of the image), medium, or large (over"
    " 10 %)?",
}
_WHAT = r"(?:the |this |that |an? )?(?P<thing>[^,:]+?)"
_OF_PICTURE = r"(?: (?:of|in) (?:the|this) (?:image|picture|scan|slice|film))?"
_SIDE = rf"(?:(?:on|in|to) )?(?:which|what) side{_OF_PICTURE} (?:is|are|lies) {_WHAT}{_OF_PICTURE}"
_EITHER = rf"(?:is|are) {_WHAT} (?:on |in )?(?:the )?left or (?:on |in )?(?:the )?right"
_PLACE = rf"(?:in|to) (?:which|what) (?:quarter|quadrant|part){_OF_PICTURE} (?:is|are|lies) {_WHAT}"
_RULES: tuple[tuple[BoxKind, str], ...] = (
    ("side", f"{_SIDE}(?:: left or right)?"),
    ("side", f"{_EITHER}(?: side| half)?{_OF_PICTURE}"),
    ("place", f"{_PLACE}(?:: upper left.*)?"),
    ("size", f"how (?:large|big) (?:is|are) {_WHAT}{_OF_PICTURE}(?:: small.*)?"),
    ("size", f"what (?:is|are) the sizes? of {_WHAT}{_OF_PICTURE}"),
)
_SPELLING = {"tumour": "tumor", "haem": "hem", "oedema": "edema", "oesoph": "esoph"}
_GENERIC = frozenset({"abnormality", "lesion", "finding", "abnormal finding"})


@dataclass(frozen=True, slots=True)
class BoxQuestion:
    """A question about boxes of some labels; ``negated``: yes says that there is none."""

    kind: BoxKind
    labels: frozenset[str]
    negated: bool = False

    def answer(self, boxes: Sequence[Box], size: Callable[[], tuple[int, int]]) -> str:
        """The answer by boxes; ``size`` gives the picture's width and height in pixels.

        Side, place and size are those of the surest box, the first of equals; :data:`NONE` where
        there is none.
        """
        own = [box for box in boxes if box.label in self.labels]
        if self.kind == "presence":
            return "no" if bool(own) == self.negated else "yes"
        if self.kind == "count":
            return str(len(own))
        if not own:
            return NONE
        best = max(own, key=lambda box: 0.0 if box.score is None else box.score)
        return _RENDERED[self.kind](best, *size())


def questions_of_boxes(
    labels: Sequence[str],
    boxes: Sequence[Box],
    size: Callable[[], tuple[int, int]],
    kinds: Sequence[BoxKind] = KINDS,
) -> list[Question]:
    """The questions of a picture, answered by its boxes, which each reference holds, too.

    Presence and count of every label; side, place and size of a label with one box. A label with
    a crowd has no number, so that only its presence is asked.
    """
    questions = []
    for label in labels:
        own = [box for box in boxes if box.label == label]
        crowded = any(box.crowd for box in own)
        for kind in kinds:
            if kind != "presence" and (crowded or (kind != "count" and len(own) != 1)):
                continue
            text = BoxQuestion(kind, frozenset({label})).answer(own, size)
            questions.append(
                Question(
                    WORDINGS[kind].format(label=label.replace("_", " ")),
                    id=f"{label}.{kind}",
                    answers=(Answer(text=text, boxes=tuple(boxes)),),
                    category=kind,
                    kind="open" if kind == "count" else "closed",
                    options=OPTIONS.get(kind),
                )
            )
    return questions


def read_box_question(text: str, labels: Sequence[str]) -> BoxQuestion | None:
    """How a question is read of boxes with these labels; None where they cannot answer it.

    An abnormality is any label that names something no normal picture shows: "Is this normal?" is
    no where one of those is marked. The sides of the patient are nothing that a box tells.
    """
    question = normal(text)
    for kind, rule in _RULES:
        if match := re.fullmatch(rule, question):
            return _about(kind, match["thing"], labels)
    parsed = parse_question(text)
    if parsed is None or (parsed.form == "place" and "patient" in question):
        return None
    if parsed.form == "normality":
        return _about("presence", "abnormality", labels, negated=parsed.part("sign") == "normal")
    if parsed.form in {"presence", "count"}:
        thing, negated = parsed.part("thing"), bool(parsed.part("not"))
        return _about(parsed.form, thing, labels, negated=negated)  # type: ignore[arg-type]
    if parsed.form == "place":
        return _about("place", parsed.part("subject"), labels)
    return None


def _about(
    kind: BoxKind, thing: str, labels: Sequence[str], *, negated: bool = False
) -> BoxQuestion | None:
    noun = _spelt(bare_noun(re.sub(r" (?:region|box|area)s?$", "", thing.lower())))
    words = {label: _spelt(label.replace("_", " ").lower()) for label in labels}
    named = {label for label, own in words.items() if bare_noun(own) == noun}
    if not named and noun in _GENERIC:
        named = {label for label, own in words.items() if table().abnormal.search(own)}
    return BoxQuestion(kind, frozenset(named), negated) if named else None


def _spelt(word: str) -> str:
    for british, american in _SPELLING.items():
        word = word.replace(british, american)
    return word


def _side(box: Box, width: int, height: int) -> str:
    del height
    return SIDES[box.x + box.width / 2 >= width / 2]


def _place(box: Box, width: int, height: int) -> str:
    vertical = "lower" if box.y + box.height / 2 >= height / 2 else "upper"
    return f"{vertical} {_side(box, width, height)}"


def _size(box: Box, width: int, height: int) -> str:
    share = box.width * box.height / (width * height)
    return SIZES[(share >= SMALL) + (share > LARGE)]


_RENDERED = {"side": _side, "place": _place, "size": _size}
