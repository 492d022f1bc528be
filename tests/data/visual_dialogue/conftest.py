"""Pairs of question and answer, and cases made of them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vesalius.cases.case import Answer, Case, Question
from vesalius.cases.picture import Picture

PICTURE = Picture("a.png", bytes)


def _pair(text: str, answer: str | None = None, category: str | None = None, **more) -> Question:
    answers = () if answer is None else (Answer(text=answer),)
    return Question(text, answers=answers, category=category, **more)


def _case(*pairs: tuple[str, ...], **more) -> Case:
    questions = tuple(_pair(*pair) for pair in pairs)
    return Case(id="c", group="g", pictures=(PICTURE,), questions=questions, **more)


@pytest.fixture(scope="session")
def pair() -> Callable[..., Question]:
    """pair(question, answer, category)."""
    return _pair


@pytest.fixture(scope="session")
def case() -> Callable[..., Case]:
    """case((question, answer, category), ...)."""
    return _case
