"""Retrieve: the training cases most like a picture, and the index of a run that has none yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vesalius.cases.dialogue import Dialogue
from vesalius.cases.picture import Picture
from vesalius.cases.prediction import Neighbour
from vesalius.combine.evidence import write_index
from vesalius.combine.retrieval.indexing import ready
from vesalius.combine.retrieval.retrieve import Retriever
from vesalius.errors import RunError
from vesalius.models.build import build as build_learner
from vesalius.models.capabilities import Indexing
from vesalius.models.feature_cache import with_shared_features
from vesalius.recipe import Retrieve
from vesalius.run import Run
from vesalius.steps.prepare import fingerprint, leaks, to_fit_on, without


def retrieve(
    run: Run, image: Path, k: int | None = None, *, others: bool = False
) -> tuple[Neighbour, ...]:
    """The ``k`` training cases of a run most like one picture file, the most similar first.

    ``others`` leaves out the picture itself, if it was trained on, and its patient. RunError if
    the run has no index.
    """
    picture = Picture.from_file(image)
    picture.pixels()  # a bad file is refused before anything is loaded
    return retriever_of(run).neighbours([picture], k, others=others)[0]


def retrieve_by_words(
    run: Run, text: str, k: int | None = None, *, pictures: bool = False
) -> tuple[Neighbour, ...]:
    """The ``k`` training cases of which the like was said, or (``pictures``) that look like it.

    RunError if the run has no index, ModelError if that is not searched by words.
    """
    return retriever_of(run).by_words([text], k, pictures=pictures)[0]


def retriever_of(run: Run) -> Retriever:
    """The retriever of a run; RunError if it has no index."""
    retriever = Retriever.load(run)
    if retriever is None:
        asked = run.recipe().retrieve is not None
        again = "vesalius fit with the same recipe and --run goes on"
        hint = again if asked else f"vesalius retrieve --build --run {run.path} makes one"
        raise RunError("has no index of similar cases", where=run.path, hint=hint)
    return retriever


@with_shared_features
def build(run: Run, settings: Retrieve | None = None) -> dict[str, Any]:
    """Index what a fitted run was trained on, without fitting again; the index's facts.

    ``settings`` default to the model's or the recipe's, else to the block's own defaults. An index
    that is there is replaced once the new one is complete. RunError if the run is not fitted, or if
    its data are not what they were.
    """
    train = trained_on(run)
    chosen = settings or index_settings(run)
    ready(chosen, train)
    return write_index(run, train, chosen)


def index_settings(run: Run) -> Retrieve:
    """How the run's model, where it looks cases up, or else its recipe wants the index."""
    learner = build_learner(run.recipe().model)
    if isinstance(learner, Indexing):
        return learner.index_settings
    return run.recipe().retrieve or Retrieve()


def trained_on(run: Run) -> list[Dialogue]:
    """The dialogues that a run was fitted on, read again; RunError if they are others now."""
    run.require_fitted()
    data = run.recipe().data
    outside = leaks(data).outside if data.leaks == "drop" else {}
    train = without(to_fit_on(data, data.splits.train), outside, data.splits.train)
    if fingerprint(train) != run.status().get("data", {}).get("train"):
        hint = "they were moved, changed, or come in another version"
        raise RunError("the data are not those this run was fitted on", where=run.path, hint=hint)
    return train
