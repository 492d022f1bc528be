"""Average precision and recall of many resamples at once.

Only a right box can raise the recall, and from one to the next only the number of wrong boxes
matters: so the boxes between two right ones are added up once, and a resample is a few sums over
the right ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from vesalius.evaluation.metrics import Array
from vesalius.evaluation.metrics.detection.matching import MOST, THRESHOLDS, Boxes
from vesalius.evaluation.metrics.table import ratio, total

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
RECALLS = np.linspace(0.0, 1.0, 101)
_CELLS = 100_000  # of an array that is worked on at once: it stays in the processor's cache


def average_precision(boxes: Boxes, positives: Array, weights: Array) -> Array:
    """Precision at 101 recalls, interpolated, averaged: [B, thresholds]; NaN without positives.

    ``positives`` [B] are the drawn reference boxes, ``weights`` [B, n] how often each image was.
    """
    result = np.zeros((len(weights), len(THRESHOLDS)))
    result[positives <= 0] = np.nan
    ever = np.asarray(boxes.right.any(axis=1), np.bool_)
    if not ever.any():
        return result
    # Where a box is ignored at one threshold alone, the thresholds count apart from each other.
    same = not (boxes.ignored != boxes.ignored[:, :1]).any()
    parts = [range(len(THRESHOLDS))] if same else [range(t, t + 1) for t in range(len(THRESHOLDS))]
    known = np.flatnonzero(positives > 0)
    step = max(1, _CELLS // int(ever.sum()))
    for part in parts:
        ignored = boxes.ignored[:, part[0]]
        counts = segments(boxes.row, ever, ignored, weights.shape[1])
        for start in range(0, len(known), step):
            some = known[start : start + step]
            drawn = np.ascontiguousarray(weights[some].T)
            shown = _cumulated(counts @ drawn)
            times = drawn[boxes.row[ever]]
            for t in part:
                right = np.flatnonzero(boxes.right[ever, t])
                hits = _cumulated(times[right])
                result[some, t] = _interpolated(hits, shown[right], positives[some])
    return result


def _cumulated(values: Array) -> Array:
    """Sums down the rows, in place."""
    return np.cumsum(values, axis=0, out=values)


def segments(rows: Codes, ends: Mask, skipped: Mask, images: int) -> csr_matrix:
    """Boxes of each image from after one end up to the next: [ends, images].

    ``rows`` are the images of the boxes, the surest first, ``ends`` and ``skipped`` masks of them.
    """
    place = np.concatenate([[0], np.cumsum(ends)[:-1]])
    use = (place < ends.sum()) & ~skipped
    shape = (int(ends.sum()), images)
    return csr_matrix((np.ones(int(use.sum())), (place[use], rows[use])), shape=shape)


def _interpolated(hits: Array, shown: Array, positives: Array) -> Array:
    """AP [B] of cumulated right and shown boxes [boxes, B]."""
    if not len(hits):
        return np.zeros(len(positives))
    precision = np.divide(hits, np.maximum(shown, np.spacing(1), out=shown), out=shown)[::-1]
    highest = np.maximum.accumulate(precision, axis=0, out=precision)[::-1]
    recall = np.divide(hits, positives, out=hits)
    # How many of the recalls are reached: the comparison of floats is COCO's, to the last bit.
    reached = recall * 100
    reached += 1e-9
    np.floor(reached, out=reached)
    reached -= reached * 0.01 > recall
    reached += 1
    # A level counts at the box that reaches it first: levels come by differences of ``reached``.
    gained = np.einsum("ij,ij->j", reached, highest)
    before: Array = np.einsum("ij,ij->j", reached[:-1], highest[1:])
    return np.asarray((gained - before) / len(RECALLS), np.float64)


def recalls(boxes: Boxes, positives: Array, weights: Array, most: int = MOST) -> Array:
    """The share of reference boxes that each image's ``most`` surest boxes take [B, thresholds]."""
    within = boxes.right & (boxes.rank < most)[:, None]
    by_image = np.zeros((weights.shape[1], len(THRESHOLDS)))
    np.add.at(by_image, boxes.row, within.astype(np.float64))
    hits = weights @ by_image
    return ratio(hits, np.broadcast_to(positives[:, None], hits.shape))


def over_classes(classes: Sequence[Array], weights: Array) -> Array:
    """The mean [B, thresholds] over the classes with reference boxes among the drawn images."""
    if not classes:
        return np.full((len(weights), len(THRESHOLDS)), np.nan)
    stacked = np.stack(classes)
    known = (~np.isnan(stacked)).sum(axis=0).astype(np.float64)
    return ratio(np.nan_to_num(stacked).sum(axis=0), known)


SUFFIXES = ("", "_small", "_medium", "_large")


def coco(
    matches: Array, truth: Array, weights: Array, *, areas: int = len(SUFFIXES)
) -> Iterator[tuple[str, Array]]:
    """COCO's twelve figures by name, [B] each; the first six with ``areas`` of 1.

    ``matches`` [n, K, MOST, WIDTH] and ``truth`` [n, K, areas], the reference boxes of each.
    """
    for area, suffix in enumerate(SUFFIXES[:areas]):
        precise: list[Array] = []
        found: dict[int, list[Array]] = {
            most: [] for most in ((1, 10, MOST) if not area else (MOST,))
        }
        for code in range(truth.shape[1]):
            boxes = Boxes.of(matches[:, code], area)
            positives = total(truth[:, code, area], weights)
            precise.append(average_precision(boxes, positives, weights))
            for most, values in found.items():
                values.append(recalls(boxes, positives, weights, most))
        by_threshold = over_classes(precise, weights)
        yield f"map{suffix}", by_threshold.mean(axis=1)
        if not area:
            yield "ap50", by_threshold[:, 0]
            yield "ap75", by_threshold[:, 5]
        for most, values in found.items():
            name = f"ar{most}" if not area else f"ar{suffix}"
            yield name, over_classes(values, weights).mean(axis=1)
