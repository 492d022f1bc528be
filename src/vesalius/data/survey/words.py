"""What questions, answers and captions say: what repeats, is known before, or contradicts."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from vesalius.data.audit import Key
from vesalius.data.survey.figures import Pair, Table, per_cent, table
from vesalius.data.survey.pictures import ONE_SPLIT
from vesalius.data.survey.rows import AnswerRow, commonest
from vesalius.data.survey.survey import Survey
from vesalius.data.survey.verdict import Result, measured, unmeasured

NO_ANSWERS = "no question has an answer"
OFTEN, ALWAYS = 20, 0.95
"""A wording is always answered alike if it has so many answers, and this share of them agrees."""
SHORT = 3
"""Words below which a caption says next to nothing."""


def word_checks(whole: Survey) -> Iterator[Result]:
    """The checks that rest on words alone."""
    of_answers = ("questions", "unseen_answers", "priors", "constant_questions", "contradictions")
    if whole.rows:
        yield from (_questions(whole), _unseen(whole))
        yield from (_priors(whole), _constant(whole.rows), _contradictions(whole.rows))
    else:
        yield from (unmeasured(name, NO_ANSWERS) for name in of_answers)
    yield _captions(whole)


def learnt_and_tested(whole: Survey) -> tuple[list[AnswerRow], list[AnswerRow]]:
    """The first split's rows, and those of later ones; all twice where there is one split."""
    if not whole.later:
        return whole.rows, whole.rows
    first = whole.splits[0]
    learnt = [row for row in whole.rows if row.key.split == first]
    return learnt, [row for row in whole.rows if row.key.split != first]


def by_type(rows: Sequence[AnswerRow]) -> dict[str, list[AnswerRow]]:
    """Rows by the type of their question, the largest first."""
    types: dict[str, list[AnswerRow]] = defaultdict(list)
    for row in rows:
        types[row.type].append(row)
    return dict(sorted(types.items(), key=lambda item: (-len(item[1]), item[0])))


def _questions(whole: Survey) -> Result:
    learnt, tested = learnt_and_tested(whole)
    if not whole.later or not learnt or not tested:
        return unmeasured("questions", ONE_SPLIT if not whole.later else NO_ANSWERS)
    known = {row.question for row in learnt}
    both = {(row.question, row.answer) for row in learnt}
    again = sum(row.question in known for row in tested)
    answers = sum((row.question, row.answer) in both for row in tested)
    wordings = len({row.question for row in whole.rows})
    share = again / len(tested)
    words = (
        f"{per_cent(share)} of {len(tested):,} questions of later splits stand word for word in "
        f"{whole.splits[0]}, {per_cent(answers / len(tested))} with the same answer; the set has "
        f"{wordings:,} wordings."
    )
    facts = {"tested": len(tested), "again": again, "again_with_answer": answers}
    return measured("questions", share, words, facts=facts | {"wordings": wordings})


def _unseen(whole: Survey) -> Result:
    learnt, tested = learnt_and_tested(whole)
    if not whole.later or not learnt or not tested:
        return unmeasured("unseen_answers", ONE_SPLIT if not whole.later else NO_ANSWERS)
    known = {row.answer for row in learnt}
    rows, facts = [], {}
    for name, some in by_type(tested).items():
        unseen = sum(row.answer not in known for row in some)
        facts[name] = {"tested": len(some), "unseen": unseen}
        rows.append((name, f"{unseen:,} of {len(some):,}", per_cent(unseen / len(some))))
    unseen = sum(row.answer not in known for row in tested)
    share = unseen / len(tested)
    words = (
        f"{per_cent(share)} of {len(tested):,} answers of later splits never occur in "
        f"{whole.splits[0]}: what chooses among known answers cannot give them."
    )
    listed = table("By type of question", ("type", "unseen", "share"), rows)
    return measured("unseen_answers", share, words, facts=facts, tables=(listed,))


def _priors(whole: Survey) -> Result:
    learnt, tested = learnt_and_tested(whole)
    if not learnt or not tested:
        return unmeasured("priors", NO_ANSWERS)
    types = by_type(learnt)
    overall = commonest(row.answer for row in learnt)[0]
    best = {name: commonest(row.answer for row in some)[0] for name, some in types.items()}
    rows, right = [], 0
    for name, some in by_type(tested).items():
        guess = best.get(name, overall)
        hits = sum(row.answer == guess for row in some)
        right += hits
        different = len({row.answer for row in some})
        rows.append((name, f"{len(some):,}", f"{different:,}", guess, per_cent(hits / len(some))))
    constant = sum(row.answer == overall for row in tested)
    share = right / len(tested)
    words = (
        f"Always giving a type's commonest answer is right for {per_cent(share)} of "
        f"{len(tested):,} questions; one answer to everything for "
        f"{per_cent(constant / len(tested))}."
    )
    columns = ("type", "questions", "different answers", "commonest", "right")
    facts = {"accuracy": share, "constant_accuracy": constant / len(tested), "types": len(types)}
    return measured("priors", share, words, facts=facts, tables=(table("By type", columns, rows),))


def _constant(rows: Sequence[AnswerRow]) -> Result:
    wordings: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        wordings[row.question][row.answer] += 1
    listed = []
    for question, counts in wordings.items():
        answer, number = commonest(counts.elements())
        total = counts.total()
        if total >= OFTEN and number / total >= ALWAYS:
            listed.append((total, question, answer, number))
    listed.sort(reverse=True)
    share = sum(total for total, *_ in listed) / len(rows)
    words = (
        f"Of wordings with at least {OFTEN} answers {len(listed):,} have nearly always the same "
        f"({per_cent(ALWAYS)} or more): the question tells {per_cent(share)} of all answers."
        if listed
        else f"No wording with {OFTEN} answers or more is always answered alike."
    )
    shown = [
        (question, f"{total:,}", answer, per_cent(number / total))
        for total, question, answer, number in listed
    ]
    columns = ("question", "answers", "commonest", "share")
    tables = (table("Answered alike", columns, shown),) if listed else ()
    facts = {"wordings": len(listed), "answers": sum(total for total, *_ in listed)}
    return measured("constant_questions", share, words, facts=facts, tables=tables)


def _contradictions(rows: Sequence[AnswerRow]) -> Result:
    repeated: dict[tuple[str, str], list[AnswerRow]] = defaultdict(list)
    for row in rows:
        if row.picture:
            repeated[row.picture, row.question].append(row)
    some = [group for group in repeated.values() if len(group) > 1]
    contradicting = [pair for group in some if (pair := _contradicting(group)) is not None]
    share = len(contradicting) / max(1, len(some))
    words = (
        f"{len(contradicting):,} of {len(some):,} questions that are asked again about the same "
        "picture have another answer there."
        if contradicting
        else f"{len(some):,} questions are asked again about the same picture, all with one answer."
        if some
        else "No question is asked twice about one picture."
    )
    pairs = tuple(
        Pair(tuple(dict.fromkeys((a.key, b.key))), f"{a.question} - {a.answer!r} and {b.answer!r}")
        for a, b in contradicting
    )
    facts = {"repeated": len(some), "contradicting": len(contradicting)}
    return measured("contradictions", share, words, facts=facts, pairs=pairs)


def _contradicting(group: Sequence[AnswerRow]) -> tuple[AnswerRow, AnswerRow] | None:
    """The first two rows that share no answer."""
    different = {row.answers: row for row in reversed(group)}
    rows = sorted(different.values(), key=group.index)
    return next(
        (p for p in combinations(rows, 2) if set(p[0].answers).isdisjoint(p[1].answers)), None
    )


def _captions(whole: Survey) -> Result:
    total = sum(map(len, whole.captions.values()))
    if not total:
        return unmeasured("captions", "no case has a caption")
    again = [(len(keys), text) for text, keys in whole.captions.items() if len(keys) > 1]
    short = [(len(keys), text) for text, keys in whole.captions.items() if _short(text)]
    repeated = sum(number for number, _ in again)
    tested = [k for keys in whole.captions.values() for k in keys if k.split in whole.later]
    known = [keys for keys in whole.captions.values() if any(_in_first(k, whole) for k in keys)]
    across = sum(not _in_first(key, whole) for keys in known for key in keys)
    either = sum(len(keys) for t, keys in whole.captions.items() if len(keys) > 1 or _short(t))
    words = (
        f"{repeated:,} of {total:,} captions stand word for word at several cases, "
        f"{sum(number for number, _ in short):,} have fewer than {SHORT} words."
    )
    if tested:
        words += f" {across:,} of {len(tested):,} of later splits stand in {whole.splits[0]}."
    facts = {"captions": total, "different": len(whole.captions), "repeated": repeated}
    facts |= {"short": sum(number for number, _ in short), "across": across}
    return measured(
        "captions", either / total, words, facts=facts, tables=tuple(_texts(again, short))
    )


def _texts(again: Sequence[tuple[int, str]], short: Sequence[tuple[int, str]]) -> Iterator[Table]:
    for title, some in (("Repeated", again), (f"Fewer than {SHORT} words", short)):
        rows = [(text, f"{number:,}") for number, text in sorted(some, key=lambda s: (-s[0], s[1]))]
        if rows:
            yield table(title, ("caption", "cases"), rows)


def _short(text: str) -> bool:
    return len(text.split()) < SHORT


def _in_first(key: Key, whole: Survey) -> bool:
    return key.split == whole.splits[0]
