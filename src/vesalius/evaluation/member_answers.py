"""Members of a combination as systems of their own, from the combination's predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vesalius.cases.prediction import MemberAnswer, Prediction
from vesalius.cases.tasks import content_of
from vesalius.errors import NotComparable


def member_predictions(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """Each member's own predictions, by its name; none where the evidence names no member.

    A combination's rows hold what every member answered (who said what), so no member predicts
    again. NotComparable counts the rows that lack a member which others have, and names the first:
    such a member would be scored on other cases than the rest.
    """
    names = list(dict.fromkeys(one.member for p in predictions for one in p.member_answers))
    columns: dict[str, list[Prediction]] = {name: [] for name in names}
    lacking: dict[str, list[str]] = {name: [] for name in names}
    for prediction in predictions:
        answers = {one.member: one for one in prediction.member_answers}
        for name in names:
            if name in answers:
                columns[name].append(_own(prediction, answers[name]))
            else:
                lacking[name].append(prediction.id)
    for name, ids in lacking.items():
        if ids:
            raise NotComparable(
                f"{len(ids):,} of {len(predictions):,} rows have no answer of the member {name}",
                where=f"id {ids[0]!r}",
                hint="vesalius predict with another --name answers the whole split anew",
            )
    return columns


def rivals(predictions: Sequence[Prediction]) -> tuple[dict[str, list[Prediction]], list[str]]:
    """The members that answer with what the combination answers with, and the names of others.

    A tagger whose concepts went into a caption has given no caption: it has no score beside one.
    """
    wanted = [content_of(p.answer) for p in predictions]
    members = member_predictions(predictions)
    others = [
        name
        for name, rows in members.items()
        if not all(
            p.abstained or getattr(p.answer, content) is not None
            for p, content in zip(rows, wanted, strict=True)
        )
    ]
    return {name: rows for name, rows in members.items() if name not in others}, others


def _own(prediction: Prediction, member: MemberAnswer) -> Prediction:
    return replace(
        prediction,
        answer=member.answer,
        confidence=member.confidence,
        abstained=member.abstained,
        scores=None,
        evidence=(),
        finish=None,
        usage=None,
        notes=None,
    )
