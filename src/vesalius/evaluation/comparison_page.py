"""One self-contained HTML page on two or more systems: no script, no external resource."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from types import MappingProxyType

from vesalius.cases.case import Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation import plots
from vesalius.evaluation.differences import Difference
from vesalius.evaluation.disagreement import boxes_at_point, most_contested
from vesalius.evaluation.gallery import Pictures, Thumbnail, in_words, thumbnail
from vesalius.evaluation.metrics.detection.matching import wanted
from vesalius.evaluation.page_template import template
from vesalius.evaluation.pairing import aligned
from vesalius.evaluation.score import Score, lacking
from vesalius.evaluation.table import System, Table
from vesalius.system.files import write_atomic
from vesalius.system.version import __version__

PRESENCE = ("sensitivity", "specificity", "auroc", "false_alarms")
"""Detection's scores of whether there is a finding at all."""
PLOTTED = MappingProxyType(
    {
        "Presence": (*(f"detection.{name}" for name in PRESENCE[:3]), "closed.accuracy"),
        "Localisation": (
            "localisation.iou",
            "localisation.centre",
            "localisation.quadrant",
            "localisation.side",
            "detection.map",
            "detection.ap50",
            "detection.f1",
            "detection.cpm",
        ),
        "Calibration": ("detection.ece",),
    }
)
_BOARDS = 12
_COLOURS = 6


@dataclass(frozen=True, slots=True)
class Cell:
    """A system's score and its difference to the baseline; in the baseline's own row None."""

    score: Score
    against: Difference | None
    lacking: str


@dataclass(frozen=True, slots=True)
class SystemAnswer:
    """What a system answered to a case of a board: in words, and with the boxes it shows."""

    system: str
    style: str
    words: str
    boxes: Sequence[Box]


@dataclass(frozen=True, slots=True)
class Board:
    """A case on which systems disagree: its picture, reference boxes and answers."""

    case: str
    question: str
    picture: Thumbnail | None
    truth: Sequence[Box]
    truth_words: str
    answers: Sequence[SystemAnswer]


def comparison_page(
    table: Table,
    systems: Sequence[System],
    costs: Mapping[str, Mapping[str, str]],
    pictures: Pictures,
    out: Path,
) -> Path:
    """Write the page on ``table`` to ``out``; boards are of ``systems``, a part of its rows.

    ``costs`` has by system and name what was recorded of it (seconds a case, memory, parameters),
    in words; ``pictures`` gives the encoded bytes for a picture's key, or None.
    """
    heads = list(dict.fromkeys(name for facts in costs.values() for name in facts))
    page = template("comparison.html").render(
        version=__version__,
        table=table,
        names=[row.name for row in table.rows],
        sections={name: list(rows) for name, rows in _sections(table).items()},
        plots={name: list(_plots(table, chosen)) for name, chosen in PLOTTED.items()},
        costs=costs,
        cost_names=heads,
        boards=list(_boards(systems, pictures)),
        notes=list(table.notes()),
    )
    write_atomic(out, page)
    return out


def section_of(score: Score, role: str) -> str:
    """Where on the page a score stands."""
    metric, _, name = score.metric.partition(".")
    if role == "calibration" or score.metric == "detection.ece":
        return "Calibration"
    if metric == "closed" or (metric == "detection" and name in PRESENCE):
        return "Presence"
    return "Localisation" if metric in ("detection", "localisation") else "Other scores"


def _sections(table: Table) -> dict[str, list[tuple[str, str, list[Cell]]]]:
    """By section a row a score: its name, which way is better, and a cell a system."""
    sections: dict[str, list[tuple[str, str, list[Cell]]]] = {
        name: [] for name in (*PLOTTED, "Other scores")
    }
    for score in table.rows[0].scores:
        protocol = table.protocols[score.protocol]
        better = str(protocol["better"].get(score.metric, "higher"))
        reason = lacking(table.protocols, score.protocol, score.metric)
        cells = [
            Cell(row.score(score.metric), row.difference(score.metric), reason)
            for row in table.rows
        ]
        sections[section_of(score, str(protocol["role"]))].append((score.metric, better, cells))
    return {name: rows for name, rows in sections.items() if rows}


def _plots(table: Table, chosen: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Title, what it rests on and the plot of each of these scores that any system has."""
    known = {score.metric for score in table.rows[0].scores}
    for metric in (name for name in chosen if name in known):
        scores = [(row.name, row.score(metric)) for row in table.rows]
        if any(score.measured for _, score in scores):
            dots = [
                plots.Dot(name, s.value, s.low, s.high, _bounds(s), name == table.baseline)
                for name, s in scores
            ]
            most = max(score.n for _, score in scores)
            yield metric, f"n = {most:,}", plots.whiskers(dots)


def _bounds(score: Score) -> str:
    return "" if isnan(score.low) else f"{score.low:.2f}–{score.high:.2f}"


def _boards(systems: Sequence[System], pictures: Pictures) -> Iterator[Board]:
    columns = aligned(*(system.predictions for system in systems))
    for place in most_contested(columns, _BOARDS):
        ones = [column[place] for column in columns]
        first, truth = ones[0], wanted(ones[0])
        words = "; ".join(map(in_words, first.references)) if truth is None else box_words(truth)
        yield Board(
            case=first.id,
            question=first.question,
            picture=thumbnail(first.picture, pictures),
            truth=truth or (),
            truth_words=words or "no reference",
            answers=[
                _system_answer(one, system.name, number)
                for number, (one, system) in enumerate(zip(ones, systems, strict=True))
            ],
        )


def _system_answer(prediction: Prediction, system: str, number: int) -> SystemAnswer:
    boxes = boxes_at_point(prediction)
    words = prediction.answer.text
    return SystemAnswer(
        system, f"s{number % _COLOURS}", box_words(boxes) if words is None else words, boxes
    )


def box_words(boxes: Sequence[Box]) -> str:
    """Boxes in words, by class, with their scores: ``mass 0.91 0.40; cyst 0.83``."""
    scores: dict[str, str] = {}
    for box in boxes:
        one = "" if box.score is None else f" {box.score:.2f}"
        scores[box.label] = scores.get(box.label, "") + one
    numbers = Counter(box.label for box in boxes)
    heads = {label: f"{n} {label}" if n > 1 else label for label, n in numbers.items()}
    return "; ".join(heads[label] + text for label, text in scores.items()) or "no box"
