"""Small predictions, and a metric's scores on them."""

import pytest

from vesalius.cases.case import Answer
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.evaluate import evaluate


def _prediction(said, *golds, name="a", **more):
    references = tuple(Answer(text=gold) for gold in golds)
    return Prediction(name, Answer(text=said), references=references, **more)


def _scored(metric, *predictions):
    found = evaluate(predictions, [metric], resamples=0)
    return {score.metric: score.value for score in found.overall()}


@pytest.fixture(scope="session")
def prediction():
    """prediction(said, *golds, name="a", **more)."""
    return _prediction


@pytest.fixture(scope="session")
def scored():
    """scored(metric, *predictions) -> the overall scores by name."""
    return _scored
