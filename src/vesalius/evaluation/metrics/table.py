"""Columns of sufficient statistics, and their weighted means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from vesalius.cases.prediction import Prediction
from vesalius.evaluation.metrics import UNREAD, Array, Table
from vesalius.evaluation.metrics.words import golds


def tabulate(
    names: Sequence[str],
    predictions: Sequence[Prediction],
    measure: Callable[[Prediction], Sequence[float] | None],
) -> dict[str, Array]:
    """A column [n] per name from ``measure``, which gives a row's values or None (not measured)."""
    rows = np.full((len(predictions), len(names)), np.nan)
    for row, prediction in zip(rows, predictions, strict=True):
        values = measure(prediction)
        if values is not None:
            row[:] = values
    return {name: rows[:, i].copy() for i, name in enumerate(names)}


def unread(predictions: Sequence[Prediction], reads: Callable[[str], bool]) -> dict[str, Array]:
    """The column ``unread``: 1 where the metric cannot read all references of a row, so that it is
    not measured, whatever was answered.
    """
    flags = [bool(texts := golds(p)) and not all(map(reads, texts)) for p in predictions]
    return {UNREAD: np.array(flags, dtype=np.float64)}


def ratio(above: Array, below: Array) -> Array:
    """``above / below``, NaN where nothing is below."""
    empty = np.full(np.shape(above), np.nan)
    quotient: Array = np.divide(above, below, out=empty, where=below > 0)
    return quotient


def total(column: Array, weights: Array) -> Array:
    """The weighted sum over measured rows: [B] from a column [n], [B, k] from [n, k]."""
    result: Array = weights @ np.nan_to_num(column)
    return result


def mean(column: Array, weights: Array) -> Array:
    """The weighted mean [B] over the measured rows of a column [n]; NaN where none was drawn."""
    measured = (~np.isnan(column)).astype(np.float64)
    return ratio(total(column, weights), weights @ measured)


def means(table: Table, weights: Array, names: Iterable[str] | None = None) -> dict[str, Array]:
    """The weighted mean [B] of each column of shape [n]."""
    chosen = list(table if names is None else names)
    columns = np.stack([table[name] for name in chosen], axis=1)
    # One product for all columns: the weights are by far the largest thing here.
    sides = np.concatenate([np.nan_to_num(columns), ~np.isnan(columns)], axis=1)
    sums = weights @ sides
    values = ratio(sums[:, : len(chosen)], sums[:, len(chosen) :])
    return {name: values[:, i] for i, name in enumerate(chosen)}


def majority(codes: Array, weights: Array) -> Array:
    """The weighted share [B] of rows that hold the commonest code [n, k] (ties: the lowest code).

    The code is fixed by the table: a maximum taken anew in every resample would be biased up.
    """
    measured = codes[~np.isnan(codes)].astype(np.int64)
    if not measured.size:
        return np.full(len(weights), np.nan)
    held = (codes == np.bincount(measured).argmax()).any(axis=1)
    return mean(np.where(np.isnan(codes).all(axis=1), np.nan, held), weights)


def coded(rows: Sequence[Sequence[str]]) -> tuple[Array, list[str]]:
    """Codes [n, k] of each row's distinct names (NaN: no more), and all names, sorted, by code."""
    known = sorted({name for names in rows for name in names})
    index = {name: float(i) for i, name in enumerate(known)}
    distinct = [list(dict.fromkeys(names)) for names in rows]
    codes = np.full((len(rows), max(map(len, distinct), default=1) or 1), np.nan)
    for row, names in zip(codes, distinct, strict=True):
        row[: len(names)] = [index[name] for name in names]
    return codes, known
