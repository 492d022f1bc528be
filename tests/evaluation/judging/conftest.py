"""A run with answers, and judgements of it that a test writes down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.cases.rating import Rating
from vesalius.evaluation.judging.judgements import Judgement, Judgements
from vesalius.recipe import Recipe
from vesalius.run import Run

IDENTITY = {"judge": "j", "kind": "run", "pictures": True, "axes": ["correctness"]}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two hundred answers, two a patient."""
    recipe = {"name": "nano", "data": {"dataset": "phantom"}, "model": {"name": "majority"}}
    run = Run.create(tmp_path / "run", Recipe.model_validate(recipe))
    run.append(
        [
            Prediction(
                f"q{i}", Answer("ct"), question="?", references=(Answer("mr"),), group=f"p{i // 2}"
            )
            for i in range(200)
        ]
    )
    return run


Judged = Callable[..., Judgements]


@pytest.fixture
def judged(run: Run) -> Judged:
    """judged(grades, **identity): judgements with those grades, None not measured."""

    def write(grades: Sequence[int | None], **identity: object) -> Judgements:
        made = Judgements(run, "j-correctness")
        made.begin(IDENTITY | identity)
        made.append(
            Judgement(
                Rating(
                    "j-correctness", f"q{i}", "judge:j", {} if g is None else {"correctness": g}
                ),
                unmeasured="no JSON" if g is None else None,
            )
            for i, g in enumerate(grades)
        )
        return made

    return write
