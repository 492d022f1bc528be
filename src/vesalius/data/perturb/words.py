"""Changes of a question's words, the picture left as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from vesalius.cases.case import Answer, Case, Question
from vesalius.data.perturb.stock import Stock, plain
from vesalius.language.options import option_of, parsed
from vesalius.system.tables import packaged_table


def _worded(case: Case, text: str) -> Case | None:
    """The case with its question in these words; None where it is not asked in their language."""
    question = case.questions[0]
    english = question.language.split("-")[0] == "en"
    return replace(case, questions=(replace(question, text=text),)) if english else None


def _drawn(kind: str, case: Case, stock: Stock) -> str:
    """One of the published sentences of that kind, by the seed and the question."""
    return str(
        stock.draws(kind, f"{case.id}/{case.questions[0].id}").choice(table("wording.yaml")[kind])
    )


def reworded(case: Case, stock: Stock) -> Case | None:
    """The question in other words that ask the same."""
    question = case.questions[0].text
    return _worded(case, _drawn("reworded", case, stock).format(question=question))


def back_translated(case: Case, stock: Stock) -> Case | None:
    """The question as a translator gave it back; None where that changed nothing."""
    question = case.questions[0].text
    text = stock.wordings.get(question, question)
    return None if plain(text) == plain(question) else _worded(case, text)


def irrelevant_history(case: Case, stock: Stock) -> Case | None:
    """A sentence of history that has nothing to do with the question, before it."""
    sentence = _drawn("irrelevant-history", case, stock)
    return _worded(case, f"{sentence} {case.questions[0].text}")


def asserted(case: Case, stock: Stock, *, by: str) -> Case | None:
    """A wrong answer, asserted before the question; the same one, whoever asserts it."""
    question = case.questions[0]
    wrong = stock.wrong_answer(question, stock.draws("asserted", f"{case.id}/{question.id}"))
    if wrong is None:
        return None
    sentence = table("wording.yaml")["asserted"][by]
    return _worded(case, sentence.format(answer=wrong, question=question.text))


def other_language(case: Case, stock: Stock) -> Case | None:
    """The same question in another language, with its own references."""
    question = case.questions[0]
    other = stock.translation(case, question.id)
    if other is None:
        return None
    return replace(case, questions=(replace(other, id=question.id, shows=()),))


def options_reordered(case: Case, stock: Stock) -> Case | None:
    """The options in another order, where the question states them all.

    Labels (A, B ...) stay in their places; references by a label follow their option.
    """
    question = case.questions[0]
    options = parsed(question.options or ())
    words = [_without_label(one.name) if one.label else one.name for one in options]
    places = [_places(word, question.text) for word in words]
    named_by_letter = any(one.key == (one.label,) for one in options)
    if len(words) < 2 or named_by_letter or any(len(each) != 1 for each in places):
        return None
    order = list(range(len(words)))
    draws = stock.draws("options-reordered", f"{case.id}/{question.id}")
    while order == sorted(order):
        draws.shuffle(order)
    moved = [words[place] for place in order]
    text = _refilled(question.text, [each[0] for each in places], moved)
    names = [
        one.name[: len(one.name) - len(word)] + new
        for one, word, new in zip(options, words, moved, strict=True)
    ]
    answers = tuple(_following(answer, question, order, names) for answer in question.answers)
    changed = replace(question, text=text, options=tuple(names), answers=answers)
    return replace(case, questions=(changed,))


def _without_label(name: str) -> str:
    """The words of "A. mass"; of a bare letter the letter."""
    return re.sub(r"\A\s*[(\[]?(?:[A-Za-z]|\d{1,2})\s*[.):\]]+\s+", "", name)


def _places(word: str, text: str) -> list[tuple[int, int]]:
    rule = rf"(?<!\w){re.escape(word)}(?!\w)"
    return [match.span() for match in re.finditer(rule, text, re.IGNORECASE)]


def _refilled(text: str, places: Sequence[tuple[int, int]], words: Sequence[str]) -> str:
    for (start, end), word in sorted(zip(places, words, strict=True), reverse=True):
        text = text[:start] + word + text[end:]
    return text


def _following(
    answer: Answer, question: Question, order: Sequence[int], names: Sequence[str]
) -> Answer:
    """The reference under the options' new order: only one that names a label changes."""
    options = question.options or ()
    option = answer.text and option_of(answer.text, options)
    if not option:
        return answer
    new = names[order.index(options.index(option))]
    label, _, _ = new.partition(_without_label(new))
    if answer.text == option:
        return replace(answer, text=new)
    letter = re.sub(r"\W", "", label)
    bare = re.fullmatch(r"\W*[A-Za-z]\W*", answer.text or "")
    return replace(answer, text=letter) if letter and bare else answer


@cache
def table(name: str) -> Any:
    """A data file of this package."""
    return packaged_table(__package__, name)
