"""The most frequent answer of a run's training split, which its scores are read beside."""

from __future__ import annotations

from collections.abc import Sequence

from vesalius.cases.dialogue import Dialogue
from vesalius.evaluation.constants import frequent_text
from vesalius.run import Run


def note_frequent_answer(run: Run, train: Sequence[Dialogue]) -> None:
    """Write ``frequent_answer.json``, unless no answer was given twice."""
    firsts = [dialogue.question.answers[:1] for dialogue in train]
    answer = frequent_text(one.text for answers in firsts for one in answers if one.text)
    if answer is not None:
        run.note_frequent_answer(answer)
