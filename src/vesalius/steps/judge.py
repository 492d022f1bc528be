"""Judge: a model grades a run's answers, or prefers one of two runs' answers, case by case.

It answers each question itself before it sees what others said, and grades in a second turn. What
it replied is kept; a killed judging goes on with the same command.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from typing import Any

from vesalius.cases.case import Answer
from vesalius.cases.dialogue import Dialogue
from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import Rating
from vesalius.errors import NotComparable, RunError
from vesalius.evaluation.judging import prompts
from vesalius.evaluation.judging.judgements import (
    BOTH_ORDERS,
    RATER,
    Judgement,
    Judgements,
    Preference,
)
from vesalius.evaluation.judging.replies import NotMeasured, read_grading, read_preference
from vesalius.evaluation.judging.rubric import Rubric, rubric
from vesalius.evaluation.pairing import paired
from vesalius.evaluation.prediction_sets import refuse_duplicates
from vesalius.models import Remote, each, parts
from vesalius.run import Run
from vesalius.steps.judges import Judge
from vesalius.steps.prepare import dialogues
from vesalius.system.pace import progress

NEW_TOKENS = 256
"""What a reply may have; errors with their levels take the most."""
Line = Judgement | Preference
Replies = Mapping[str, Prediction]
"""Of the second turn, by mark."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What is asked of each answer, and what becomes of the replies.

    ``ungradable`` says why a row cannot be judged, if so; ``words`` gives the second turns by
    mark; ``line`` what is written down, ``lost`` of what is not judged.
    """

    ungradable: Callable[[Prediction], str | None]
    words: Callable[[Prediction], Mapping[str, str]]
    line: Callable[[Prediction, str, Replies], Line]
    lost: Callable[[Prediction, str], Line]


def judge(
    run: Run,
    by: Judge,
    rubric_name: str = "correctness",
    *,
    name: str = "",
    limit: int | None = None,
    against: Run | None = None,
) -> Judgements:
    """Have a judge grade a run's answers to its test split, or, ``against`` another run, prefer.

    The judgements are in ``judgements/NAME.jsonl``; ``name`` is by default that of the judge and
    its rubric. ``limit``: so many of the answers, a random sample that is always the same. RunError
    where the run has no answers, or the judgements of that name are of another judge or of other
    answers; NotComparable for a pair of runs on other cases; Unavailable for a judge that is away.
    """
    rows = _rows(run)
    other = {} if against is None else _opposite(rows, against)
    chosen = _sample([row for row in rows if not other or row.id in other], limit)
    rule = rubric(rubric_name)
    what = rubric_name if against is None else f"against {against.name}"
    pictured = _dialogues(run, chosen) if by.sees else {}
    judgements = Judgements(run, name or _name(by.label, what))
    identity = dict(by.facts) | _terms(run, by, rule, rubric_name, against)
    done = judgements.begin(identity)
    todo = [row for row in chosen if row.id not in done]
    if todo:
        _connect(by, [pictured[row.id] for row in todo if row.id in pictured])
    bench = _preferring(other) if other else _grading(by, judgements.name, rule)
    with progress(f"judging {run.name} by {by.label}") as bar:
        task = bar.add_task("", done=len(done))
        for chunk in _chunks(todo, by.decoding.batch):
            for line in _judged(by, chunk, pictured, bench):
                judgements.append([line])
                done.add(line.id)
                bar.update(task, done=len(done))
    return judgements


def _judged(
    by: Judge, rows: Sequence[Prediction], pictured: Mapping[str, Dialogue], bench: Bench
) -> Iterator[Line]:
    """A line for each row, as soon as all of its replies are there."""
    gradable = []
    for row in rows:
        reason = bench.ungradable(row)
        if reason is None:
            gradable.append(row)
        else:
            yield bench.lost(row, reason)
    openings = {row.id: prompts.own_dialogue(row, pictured.get(row.id)) for row in gradable}
    first = by.decoding.model_copy(update={"temperature": 0.0, "beams": 1})
    second = first.model_copy(update={"max_new_tokens": max(NEW_TOKENS, first.max_new_tokens)})
    answers = each(by.model, list(openings.values()), first)
    own = {one.id: prompts.candidate(one.answer) for one in answers}
    turns: dict[str, tuple[Prediction, str, Dialogue]] = {}
    for row in gradable:
        for mark, words in bench.words(row).items():
            opening = openings[row.id].replying(Answer(text=own[row.id]))
            turn = prompts.grading_dialogue(opening, words, mark)
            turns[turn.id] = row, mark, turn
    replies: dict[str, dict[str, Prediction]] = {row.id: {} for row in gradable}
    for reply in each(by.model, [turn for *_, turn in turns.values()], second):
        row, mark, _ = turns[reply.id]
        replies[row.id][mark] = reply
        if len(replies[row.id]) == len(bench.words(row)):
            yield bench.line(row, own[row.id], replies[row.id])


def _grading(by: Judge, name: str, rule: Rubric) -> Bench:
    """One answer a time, graded by a rubric."""

    def rating(row: Prediction, axes: Mapping[str, int], errors: tuple[str, ...] = ()) -> Rating:
        return Rating(name, row.id, f"{RATER}{by.label}", axes, errors)

    def line(row: Prediction, own: str, replies: Replies) -> Line:
        text = replies["grade"].text
        try:
            grading = read_grading(_whole(replies["grade"]), rule)
        except NotMeasured as lost:
            return Judgement(rating(row, {}), own, text, lost.reason)
        graded = rating(row, grading.axes, grading.errors)
        return Judgement(graded, own, text, None, grading.weight)

    return Bench(
        _ungradable,
        lambda row: {"grade": prompts.grading_words(row, rule)},
        line,
        lambda row, reason: Judgement(rating(row, {}), unmeasured=reason),
    )


def _preferring(other: Mapping[str, Prediction]) -> Bench:
    """Two answers a time, in both orders."""

    def words(row: Prediction) -> Mapping[str, str]:
        pair = prompts.candidate(row.answer), prompts.candidate(other[row.id].answer)
        return {
            who: prompts.preference_words(row, *(pair if who == "run" else pair[::-1]))
            for who in BOTH_ORDERS
        }

    def verdict(replies: Replies, who: str) -> str:
        places = {"first": who, "second": next(one for one in BOTH_ORDERS if one != who)}
        return places.get(read_preference(_whole(replies[who])), "tie")

    def line(row: Prediction, own: str, replies: Replies) -> Line:
        texts = replies["run"].text, replies["against"].text
        try:
            verdicts = verdict(replies, "run"), verdict(replies, "against")
        except NotMeasured as lost:
            return Preference(row.id, own, (None, None), texts, lost.reason)
        return Preference(row.id, own, verdicts, texts)

    def lost(row: Prediction, reason: str) -> Line:
        return Preference(row.id, "", (None, None), unmeasured=reason)

    return Bench(lambda row: _ungradable(row) or _wordless(other[row.id]), words, line, lost)


def _whole(reply: Prediction) -> str:
    """The reply's text; NotMeasured where it was cut at the token limit."""
    if reply.finish == "length":
        raise NotMeasured("cut at the token limit")
    return reply.text


def _ungradable(row: Prediction) -> str | None:
    if not any(prompts.in_words(one) for one in row.references):
        return "no reference in words"
    return _wordless(row)


def _wordless(row: Prediction) -> str | None:
    return None if prompts.in_words(row.answer) else "no answer in words"


def _rows(run: Run) -> list[Prediction]:
    if not run.predictions_file().exists():
        hint = f"vesalius predict --run {run.path}"
        raise RunError("has no answers to judge", where=run.path, hint=hint)
    rows = list(run.predictions())
    refuse_duplicates(rows)
    return rows


def _opposite(rows: Sequence[Prediction], against: Run) -> dict[str, Prediction]:
    """The other run's answers by id; NotComparable unless they are to the same questions."""
    here, there = paired(rows, _rows(against))
    for one, two in zip(here, there, strict=True):
        if one.question != two.question:
            what = "the runs have other questions for it"
            raise NotComparable(what, where=f"id {one.id!r}")
    return {one.id: one for one in there}


def _sample(rows: Sequence[Prediction], limit: int | None) -> list[Prediction]:
    """So many of the rows at random, the same ones each time, in their order."""
    if limit is None:
        return list(rows)
    drawn = heapq.nsmallest(limit, rows, key=lambda row: sha256(row.id.encode()).hexdigest())
    names = {row.id for row in drawn}
    return [row for row in rows if row.id in names]


def _terms(
    run: Run, by: Judge, rule: Rubric, rubric_name: str, against: Run | None
) -> dict[str, Any]:
    """What beside the judge itself decides about its judgements."""
    terms = {
        "pictures": by.sees,
        "prompt": prompts.VERSION,
        "kin": by.kinship(run) or (against and by.kinship(against)),
        "answers": sha256(run.predictions_file().read_bytes()).hexdigest(),
    }
    if against is None:
        graded = {"axes": list(rule.graded), "rubric_digest": rule.digest()}
        return terms | {"rubric": rubric_name} | graded
    other = sha256(against.predictions_file().read_bytes()).hexdigest()
    return terms | {"against": against.name, "against_answers": other}


def _dialogues(run: Run, rows: Sequence[Prediction]) -> dict[str, Dialogue]:
    """The dialogues that the rows answer, with their pictures; RunError where one is gone."""
    recipe, wanted = run.recipe(), {row.id: row.question for row in rows}
    noted = run.status().get("predictions", {}).get("test", {})
    split = noted.get("split") or recipe.data.splits.test
    there = {d.id: d for d in dialogues(recipe.data, split) if d.id in wanted}
    for name, question in wanted.items():
        if name not in there or there[name].question.text != question:
            what = f"the data set no longer has the question of the answer {name!r}"
            hint = "--no-pictures judges by words alone"
            raise RunError(what, where=run.path, hint=hint)
    return there


def _connect(by: Judge, pictured: Sequence[Dialogue]) -> None:
    for part in parts(by.model):
        if isinstance(part, Remote):
            part.connect(lambda: len({p.key for d in pictured for p in d.pictures}))


def _chunks(rows: Sequence[Prediction], size: int) -> Iterator[list[Prediction]]:
    left = iter(rows)
    while chunk := list(islice(left, size)):
        yield chunk


def _name(*words: str) -> str:
    """A file's name of a judge and what it does."""
    return "-".join(re.sub(r"[^A-Za-z0-9._]+", "-", word).strip("-.") or "judge" for word in words)
