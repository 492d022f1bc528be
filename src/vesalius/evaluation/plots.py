"""Plots as inline SVG in the colour of the text around them, so they read in light and dark.

Classes only (``accent``, ``second``, ``grid``): the page's style sheet decides what they look
like. Every text is escaped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil, floor, isnan, log10

from markupsafe import Markup, escape

from vesalius.evaluation.calibration import Array, Bin

_LABELS, _VALUES, _ROW = 138, 128, 26  # pixels for names, numbers and a row of a dot plot
_WIDTH, _HEIGHT, _SQUARE = 460, 250, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 12, 28, 34  # margins of a plot with two axes
_FEW = 40  # points that still get a dot each
_LONGEST = 17  # letters of a name that fit beside a dot plot

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Dot:
    """A row of a dot-and-whisker plot; a NaN value is written as "not measured"."""

    label: str
    value: float
    low: float
    high: float
    note: str = ""
    strong: bool = False


def whiskers(rows: Sequence[Dot], low: float = 0.0, high: float = 1.0) -> Markup:
    """Values with their intervals, one below the other on a common scale."""
    left, right = _LABELS, _WIDTH - _VALUES
    height = _ROW * len(rows) + 26

    def across(value: float) -> float:
        return left + (value - low) / (high - low) * (right - left)

    grid = [
        _line("grid", (across(t), 0), (across(t), height - 22))
        + _text("tick", (across(t), height - 6), f"{t:g}", "middle")
        for t in _ticks(low, high)
    ]
    dots = [_dot_row(row, _ROW * (i + 0.5) + 2, across) for i, row in enumerate(rows)]
    summary = "; ".join(f"{row.label} {_number(row.value)}" for row in rows)
    return _svg(_WIDTH, height, summary, [*grid, *dots])


def lines(
    series: Sequence[tuple[str, Sequence[Point]]],
    *,
    across: str,
    up: str,
    band: Sequence[tuple[float, float, float]] = (),
) -> Markup:
    """Curves of (x, y) points; the first is drawn in the accent colour. Empty without points.

    ``band``: (x, low, high) of an area behind them; places without an interval are left out.
    """
    known = [(name, [p for p in points if not isnan(p[1])]) for name, points in series]
    drawn = [(name, points) for name, points in known if points]
    if not drawn:
        return Markup()
    xs = [x for _, points in drawn for x, _ in points]
    area = [row for row in band if not isnan(row[1])]
    ys = [y for _, points in drawn for _, y in points] + [high for _, _, high in area]
    axes = _Axes((min(xs), max(xs)), (min(0.0, *ys), max(ys)), (_WIDTH, _HEIGHT))
    body = [axes.frame(across, up)]
    if area:
        edge = [(x, high) for x, _, high in area] + [(x, low) for x, low, _ in reversed(area)]
        body.append(_area(map(axes.at, edge)))
    for i, (name, points) in enumerate(drawn):
        style = "accent" if i == 0 else "second"
        body.append(_path(style, map(axes.at, points)))
        if len(points) < _FEW:
            body += [
                _circle(f"{style} dot", axes.at(p), 2.6, f"{name}: {p[1]:.4g}") for p in points
            ]
    return _svg(_WIDTH, _HEIGHT, f"{up} over {across}", body)


def bars(values: Sequence[tuple[str, float]], *, across: str, up: str) -> Markup:
    """A bar for each (label below its left edge, height); empty without any."""
    if not values:
        return Markup()
    axes = _Axes((0.0, float(len(values))), (0.0, max(v for _, v in values)), (_WIDTH, _HEIGHT))
    body = [axes.frame("", up, ticks_across=False)]
    every = ceil(len(values) / 10)  # labels that do not run into each other
    for at, (label, value) in enumerate(values):
        (left, top), (right, bottom) = axes.at((at + 0.06, value)), axes.at((at + 0.94, 0.0))
        body.append(_rectangle("bar", (left, top), (right, bottom), f"{label}: {value:g}"))
        if at % every == 0:
            body.append(_text("tick", (axes.at((at, 0.0))[0], bottom + 15), label, "middle"))
    body.append(_text("axis", (_WIDTH - _RIGHT, _HEIGHT - 3), across, "end"))
    return _svg(_WIDTH, _HEIGHT, f"{up} over {across}", body)


def reliability(bins: Sequence[Bin]) -> Markup:
    """Share right over mean confidence, a dot a bin, its area by how many answers it holds."""
    axes = _Axes((0.0, 1.0), (0.0, 1.0), (_SQUARE, _SQUARE))
    most = max((b.n for b in bins), default=1)
    body = [
        axes.frame("confidence", "share right"),
        _line("ideal", axes.at((0, 0)), axes.at((1, 1))),
    ]
    for b in bins:
        note = f"confidence {b.confidence:.2f}, right {b.right:.2f}, n = {b.n}"
        here = axes.at((b.confidence, b.right))
        body.append(_line("gap", axes.at((b.confidence, b.confidence)), here))
        body.append(_circle("bubble", here, 2.5 + 9 * (b.n / most) ** 0.5, note))
    return _svg(_SQUARE, _SQUARE, "share right over confidence", body)


def risk_coverage(coverage: Array, risk: Array) -> Markup:
    """The share of wrong answers when only the most confident ones are given."""
    axes = _Axes((0.0, 1.0), (0.0, max(0.05, *risk.tolist())), (_SQUARE, _SQUARE))
    step = max(1, len(coverage) // 200)  # more points than pixels are no use
    points = list(zip(coverage.tolist(), risk.tolist(), strict=True))
    thinned = [*points[::step], points[-1]]
    body = [axes.frame("coverage", "share wrong"), _path("accent", map(axes.at, thinned))]
    return _svg(_SQUARE, _SQUARE, "share wrong over coverage", body)


class _Axes:
    """A frame with ticks, from data to pixels."""

    def __init__(self, across: Point, up: Point, size: tuple[int, int]) -> None:
        self._across, self._up = _widened(across), _widened(up)
        self._right, self._bottom = size[0] - _RIGHT, size[1] - _BOTTOM

    def at(self, point: Point) -> Point:
        """Pixels from the left and from the top."""
        (left, right), (low, high) = self._across, self._up
        x = _LEFT + (point[0] - left) / (right - left) * (self._right - _LEFT)
        y = self._bottom - (point[1] - low) / (high - low) * (self._bottom - _TOP)
        return x, y

    def frame(self, across: str, up: str, *, ticks_across: bool = True) -> str:
        """Grid lines, ticks and the axes' names."""
        parts = []
        for tick in _ticks(*self._up):
            y = self.at((self._across[0], tick))[1]
            parts.append(_line("grid", (_LEFT, y), (self._right, y)))
            parts.append(_text("tick", (_LEFT - 7, y + 4), f"{tick:g}", "end"))
        for tick in _ticks(*self._across) if ticks_across else ():
            x = self.at((tick, self._up[0]))[0]
            parts.append(_text("tick", (x, self._bottom + 15), f"{tick:g}", "middle"))
        parts.append(_text("axis", (self._right, self._bottom + 31), across, "end"))
        parts.append(_text("axis", (0, _TOP - 15), up))
        return "".join(parts)


def _dot_row(row: Dot, y: float, across: Callable[[float], float]) -> str:
    style, weight = ("accent", "strong") if row.strong else ("second", "plain")
    name = row.label if len(row.label) <= _LONGEST else f"{row.label[: _LONGEST - 1]}…"
    parts = [
        _text(weight, (_LABELS - 12, y + 4.5), name, "end"),
        _text(weight, (_WIDTH - _VALUES + 14, y + 4.5), _number(row.value)),
        _text("faint", (_WIDTH, y + 4.5), row.note, "end"),
    ]
    if not isnan(row.low):
        parts.append(_line(f"whisker {style}", (across(row.low), y), (across(row.high), y)))
    if not isnan(row.value):
        note = f"{row.label}: {_number(row.value)}"
        parts.append(_circle(f"{style} dot", (across(row.value), y), 5 if row.strong else 4, note))
    return "".join(parts)


def _number(value: float) -> str:
    return "not measured" if isnan(value) else f"{value:.3f}"


def _widened(bounds: Point) -> Point:
    low, high = bounds
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between the bounds."""
    rough = (high - low) / 4
    power = 10.0 ** floor(log10(rough))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if s * power >= rough * 0.99)
    first, last = ceil(low / step - 1e-9), floor(high / step + 1e-9)
    return [round(k * step, 10) for k in range(first, last + 1)]


def _line(style: str, start: Point, end: Point) -> str:
    (a, b), (c, d) = start, end
    return f'<line class="{style}" x1="{a:.1f}" y1="{b:.1f}" x2="{c:.1f}" y2="{d:.1f}"/>'


def _path(style: str, points: Iterable[Point]) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="line {style}" points="{places}"/>'


def _area(points: Iterable[Point]) -> str:
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polygon class="band" points="{places}"/>'


def _rectangle(style: str, start: Point, end: Point, title: str) -> str:
    (left, top), (right, bottom) = start, end
    place = f'x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{bottom - top:.1f}"'
    return f'<rect class="{style}" {place}><title>{escape(title)}</title></rect>'


def _circle(style: str, at: Point, radius: float, title: str) -> str:
    place = f'cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:.1f}"'
    return f'<circle class="{style}" {place}><title>{escape(title)}</title></circle>'


def _text(style: str, at: Point, text: str, anchor: str = "start") -> str:
    place = f'x="{at[0]:.1f}" y="{at[1]:.1f}" text-anchor="{anchor}"'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _svg(width: int, height: int, name: str, body: Iterable[str]) -> Markup:
    inside = "".join(body)
    return Markup(  # noqa: S704  # every text in the body was escaped where it was put in
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">{inside}</svg>'
    )
