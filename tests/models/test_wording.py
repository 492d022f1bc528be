from __future__ import annotations

from collections import Counter

import pytest

from vesalius.cases.case import Answer, Question
from vesalius.cases.dialogue import Dialogue, Turn
from vesalius.errors import ModelError
from vesalius.models.wording import examples, most_frequent, pictured, plain, spellings


def test_plain_ignores_case_and_blanks_only() -> None:
    assert plain("is \tthis a T1 weighted image? ") == plain("is this a t1 weighted image?")
    assert plain("which plane") != plain("which plane?")


def test_spelling_is_the_most_frequent_then_the_first_in_the_alphabet() -> None:
    assert spellings(["yes", "Yes", "Yes", "no"]) == {"yes": "Yes", "no": "no"}
    assert spellings(["yes", "Yes"]) == {"yes": "Yes"}  # "Y" sorts before "y"


def test_most_frequent_share() -> None:
    assert most_frequent(Counter(b=2, a=2, c=1)) == ("a", 2 / 5)


def test_every_answered_turn_teaches_and_the_last_picture_stays(draw) -> None:
    said = Answer(text="ct")
    first = Turn(Question("modality?", answers=(said, Answer(text="mr"))), (draw("p"),), said)
    second = Turn(Question("seen?", answers=(Answer(boxes=()),)), (), said)
    third = Turn(Question("plane?", answers=(Answer(text="axial"),)))
    found = examples([Dialogue("d", (first, second, third), group="g")])
    assert [(e.question, e.answer, e.pictures[-1].key) for e in found] == [
        ("modality?", "ct", "p"),
        ("plane?", "axial", "p"),
    ]
    assert found[0].case == "d"
    assert len(pictured(found)) == 2


def test_nothing_to_learn_is_refused(ask) -> None:
    with pytest.raises(ModelError, match="reference answer"):
        examples([ask("what?")])
