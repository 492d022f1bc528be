"""Where a finding is: of images that have one, how near the surest box comes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import nan

from pydantic import Field

from vesalius.cases.case import Box
from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import Array, ScoringProtocol, Table
from vesalius.evaluation.metrics.detection.matching import answered, score, wanted
from vesalius.evaluation.metrics.table import means, tabulate
from vesalius.settings import Frozen

_IN_BOX = ("localisation.iou", "localisation.centre")
_IN_PICTURE = ("localisation.quadrant", "localisation.side")


class Localisation(Frozen):
    """IoU, centre in box, quadrant and side of the surest box, each in [0, 1].

    Over images with reference boxes (crowd regions are none), whatever the box's score or class:
    whether there is a finding is another question. ``iou`` is that with the nearest reference box;
    ``centre`` whether its centre lies in a reference box; ``quadrant`` and ``side`` (left or right
    half) whether its centre lies in a reference box's part of the picture as decoded, which needs
    the pictures' sizes. An answer without any box is 0 in all four; without a list of boxes it is
    not measured, unless it abstained.
    """

    sizes: Mapping[str, tuple[int, int]] = Field(default_factory=dict)
    """Width and height by the picture's key; without any, quadrant and side are not measured."""

    @property
    def protocol(self) -> ScoringProtocol:
        """How the scores are made."""
        unknown = "" if self.sizes else "the sizes of the pictures are not known"
        return ScoringProtocol(
            name="localisation",
            implementation="vesalius",
            version="1",
            normalisation="the surest box of any class; pixels of the picture as decoded",
            averaging="over images with reference boxes",
            proportions=dict.fromkeys((_IN_BOX[1], *_IN_PICTURE), ""),
            absent=dict.fromkeys(_IN_PICTURE, unknown) if unknown else {},
        )

    def measure(self, predictions: Sequence[Prediction]) -> Table:
        """The four, a row."""
        return tabulate((*_IN_BOX, *_IN_PICTURE), predictions, self._placed)

    def aggregate(self, table: Table, weights: Array) -> Mapping[str, Array]:
        """Their means."""
        return means(table, weights)

    def _placed(self, prediction: Prediction) -> tuple[float, float, float, float] | None:
        due = [box for box in wanted(prediction) or () if not box.crowd]
        boxes = answered(prediction)
        if not due or boxes is None:
            return None
        size = self.sizes.get(prediction.picture or "")
        if not boxes:
            return 0.0, 0.0, *((0.0, 0.0) if size else (nan, nan))
        best = max(boxes, key=score)
        near = max(best.iou(box) for box in due)
        inside = float(any(_holds(box, centre(best)) for box in due))
        if size is None:
            return near, inside, nan, nan
        here, there = quadrant(best, size), [quadrant(box, size) for box in due]
        side = float(here[0] in {place[0] for place in there})
        return near, inside, float(here in there), side


def centre(box: Box) -> tuple[float, float]:
    """Its middle, (x, y) in pixels."""
    return box.x + box.width / 2, box.y + box.height / 2


def quadrant(box: Box, size: tuple[int, int]) -> tuple[bool, bool]:
    """Whether its centre lies in the right and in the lower half; on the line, it does."""
    x, y = centre(box)
    return x >= size[0] / 2, y >= size[1] / 2


def _holds(box: Box, point: tuple[float, float]) -> bool:
    x, y = point
    return box.x <= x <= box.x + box.width and box.y <= y <= box.y + box.height
