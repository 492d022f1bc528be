"""Changes to a case that a model must notice, or must not: a row each, Case -> Case.

A change is deterministic: what it draws follows from the seed and from the case. Where it
needs another case, a wrong answer or a translation, these come from the same set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from vesalius.cases.case import Case
from vesalius.data.perturb import pictures, words
from vesalius.data.perturb.stock import Stock
from vesalius.errors import UnknownName

Make = Callable[[Case, Stock], Case | None]
Quantity = Literal["remains", "flips", "lost"]
"""What tells how a model takes a change: the share of its score that remains, of its answers that
change, or of its right answers that turn wrong."""


@dataclass(frozen=True, slots=True)
class Change:
    """A row: what is done to a case, what a set must have for it, and how it is read.

    ``make`` gives the changed case, None for one that cannot have the change. ``apart``: it is made
    for every question alone, and gets a case of that one question. ``needs`` says what no case of a
    set had if none could be changed. ``sentence`` tells ``quantity``, a share, in words.
    ``without_picture``: what is scored under it is scored without the picture.
    """

    name: str
    what: str
    make: Make
    quantity: Quantity
    sentence: str
    needs: str = "a picture"
    apart: bool = False
    without_picture: bool = False

    def applied(self, case: Case, stock: Stock) -> Iterator[Case]:
        """The case under the change: one, one a question, or none; ids of questions stay."""
        for one in _apart(case) if self.apart else (case,):
            changed = self.make(one, stock) if one.pictures else None
            if changed is not None:
                yield changed


def change_of(name: str) -> Change:
    """The change of that name; UnknownName suggests the nearest."""
    if name not in CHANGES:
        raise UnknownName("perturbation", name, CHANGES)
    return CHANGES[name]


def _apart(case: Case) -> Iterator[Case]:
    """A case for each question, with the pictures that it is asked about."""
    shown = case.pictures_by_question()
    for name, question, seen in zip(case.question_ids(), case.questions, shown, strict=True):
        own = replace(question, id=name, shows=())
        yield replace(case, questions=(own,), pictures=seen)


def _painted(mark: str, paint: pictures.Paint) -> Make:
    return partial(pictures.painted, mark=mark, paint=paint)


def _boxed(mark: str, paint: pictures.BoxPaint) -> Make:
    return partial(pictures.boxed, mark=mark, paint=paint)


_MAKE: Mapping[str, Make] = {
    "blank": _painted("blank", pictures.grey),
    "noise": pictures.noise,
    "shuffled": pictures.shuffled,
    "other-organ": pictures.other_organ,
    "questions-only": pictures.questions_only,
    "mirrored": pictures.mirrored,
    "inside-box": _boxed("inside-box", pictures.inside),
    "outside-box": _boxed("outside-box", pictures.outside),
    "low-resolution": _painted("low-resolution", pictures.coarse),
    "wrong-window": pictures.wrong_window,
    "burned-in-text": pictures.burned_in_text,
    "reworded": words.reworded,
    "back-translated": words.back_translated,
    "options-reordered": words.options_reordered,
    "asserted-authority": partial(words.asserted, by="authority"),
    "asserted-majority": partial(words.asserted, by="majority"),
    "asserted-friend": partial(words.asserted, by="friend"),
    "irrelevant-history": words.irrelevant_history,
    "other-language": words.other_language,
}
CHANGES: Mapping[str, Change] = {
    name: Change(name=name, make=_MAKE[name], **row)
    for name, row in words.table("changes.yaml").items()
}
"""By name, in the order of ``changes.yaml``, which has what is said of each."""
