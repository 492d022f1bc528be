"""What the models that doubt answers see of a picture: grey means, or a frozen encoder's vector."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vesalius.cases.likeness import SIDE, Thumbnail
from vesalius.data.audit import Key
from vesalius.data.datasets import Dataset
from vesalius.data.survey.rows import AnswerRow
from vesalius.models.feature_cache import with_shared_features

COARSE = 12
"""Grey means along each side, and bins of grey levels."""
DIRECTIONS = 64
"""Of an encoder's vectors the directions of most variance: more numbers than these are noise to
models that are fitted on a thousand rows."""
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sight:
    """``numbers`` gives of rows an array [rows, d], 0 without a picture; ``words`` name it.

    ``penalty``: of the models' squared weights, a row that they are fitted on, since there are more
    numbers than a type of question may have rows. ``tellable``: the recall and precision from which
    on they can tell an answer.
    """

    words: str
    numbers: Callable[[Sequence[AnswerRow]], Array]
    penalty: float
    tellable: float


def coarse_sight(thumbnails: Sequence[Thumbnail]) -> Sight:
    """Grey means and the shares of grey levels of thumbnails, which an audit has already.

    So little is believed of labels that it tells well alone.
    """

    def numbers(rows: Sequence[AnswerRow]) -> Array:
        width = SIDE // COARSE
        table = np.zeros((len(rows), COARSE * COARSE + COARSE))
        for number, row in enumerate(rows):
            if row.thumbnail >= 0:
                levels = thumbnails[row.thumbnail].astype(np.float64) / 255
                means = levels.reshape(COARSE, width, COARSE, width).mean(axis=(1, 3))
                shares = np.histogram(levels, bins=COARSE, range=(0, 1))[0] / levels.size
                table[number] = [*means.ravel(), *shares]
        return table

    return Sight("small pictures", numbers, penalty=0.03, tellable=0.7)


@with_shared_features
def encoded_sight(dataset: Dataset, rows: Sequence[AnswerRow], encoder: str) -> Sight:
    """The vectors of the pictures that rows are about, read anew, in their main directions.

    Penalised more, such models may speak of labels that they tell half of the time.
    """
    from vesalius.models.encoders import image_encoder

    wanted = {row.key for row in rows if row.thumbnail >= 0}
    pictures = {
        key: case.pictures[-1]
        for split in dataset.splits()
        for case in dataset.cases(split)
        if (key := Key(case.id, split)) in wanted
    }
    vectors = _main_directions(image_encoder(encoder).embed(list(pictures.values())))
    places = {key: at for at, key in enumerate(pictures)}

    def numbers(some: Sequence[AnswerRow]) -> Array:
        table = np.zeros((len(some), vectors.shape[1]))
        for number, row in enumerate(some):
            if row.key in places:
                table[number] = vectors[places[row.key]]
        return table

    return Sight(f"{encoder}'s vectors of the pictures", numbers, penalty=0.08, tellable=0.5)


def _main_directions(vectors: NDArray[np.float32]) -> Array:
    """Vectors [n, d] about their mean, on their ``DIRECTIONS`` of most variance."""
    if not len(vectors):
        return np.zeros((0, 1))
    centred = vectors.astype(np.float64) - vectors.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    along: Array = centred @ axes[:, ::-1][:, :DIRECTIONS]
    return along
