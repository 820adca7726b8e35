"""Curves over the iterations as small SVG drawings, legible on light and dark ground."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

# Size of a drawing in its own units, and what is kept beside the curves for the numbers at both axes.
WIDTH, HEIGHT = 420, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 30, 34
# More points than this cannot be distinguished at this size.
MAX_POINTS = 300
# A curve of single batches is noisy: over it goes its running median of this fraction of its points.
SMOOTHED_FRACTION, LEAST_SMOOTHED = 0.06, 5


@dataclass(frozen=True)
class Curve:
    """One quantity over the iterations.

    Attributes:
        name: for the legend.
        iterations, values: (n,) each; what is not finite is left out.
    """

    name: str
    iterations: ArrayLike
    values: ArrayLike


def curves_svg(title: str, unit: str, curves: Sequence[Curve], is_log: bool = False) -> str:
    """An `<svg>` of curves over the iterations; says so where there is nothing to draw.

    Args:
        title: above the drawing.
        unit: of the values, behind the title.
        curves: up to four, distinguished by colour and by name.
        is_log: a logarithmic axis; values that are not positive are left out.
    """
    drawable = [c for c in (_drawable(curve, is_log) for curve in curves) if len(c.iterations)]
    name = html.escape(title)
    head = f'<text class="t" x="{LEFT}" y="16">{name}<tspan class="u"> {html.escape(unit)}</tspan></text>'
    if not drawable:
        body = f'<text class="u" x="{LEFT}" y="{HEIGHT / 2:g}">nothing was recorded</text>'
    else:
        body = _drawing(drawable, is_log)
    return f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{head}{body}</svg>'


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Round numbers within [low, high], about n of them: 1, 2 or 5 times a power of ten apart.

    >>> ticks(0.0, 23.0)
    [0.0, 5.0, 10.0, 15.0, 20.0]
    """
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-300) / n))
    step *= next((m for m in (1, 2, 5) if (high - low) / (m * step) <= n), 10)
    return [float(f"{k * step:.12g}") for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten within [low, high]; 2 and 5 times them as well where there are less than three, else any round numbers.

    >>> log_ticks(0.04, 0.7), log_ticks(1.0, 2000.0), log_ticks(0.011, 0.038)
    ([0.05, 0.1, 0.2, 0.5], [1.0, 10.0, 100.0, 1000.0], [0.015, 0.02, 0.025, 0.03, 0.035])
    """
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)

    def within(factors: tuple[int, ...]) -> list[float]:
        candidates = (float(f"{m}e{d}") for d in decades for m in factors)
        return [v for v in candidates if low * 0.999 <= v <= high * 1.001]

    return next((found for found in (within((1,)), within((1, 2, 5))) if len(found) >= 3), None) or ticks(low, high, 6)


def running_median(values: NDArray) -> NDArray:
    """(n,) the median of each value's neighbourhood, which shrinks towards both ends."""
    half = max(LEAST_SMOOTHED, round(SMOOTHED_FRACTION * len(values))) // 2
    last = len(values) - 1
    reach = [min(half, i, last - i) for i in range(len(values))]
    return np.array([np.median(values[i - r : i + r + 1]) for i, r in enumerate(reach)])


def short_number(value: float) -> str:
    """A number for an axis.

    >>> [short_number(v) for v in (0.0, 0.002, 25.0, 1500.0, 300000.0, 1e-7)]
    ['0', '0.002', '25', '1500', '300k', '1e-07']
    """
    if abs(value) >= 1e4:
        return next((f"{value / s:g}{u}" for s, u in ((1e9, "G"), (1e6, "M"), (1e3, "k")) if abs(value) >= s))
    return f"{value:g}"


def _drawable(curve: Curve, is_log: bool) -> Curve:
    """The curve without what cannot be drawn, thinned to what can be seen."""
    x, y = np.asarray(curve.iterations, np.float64), np.asarray(curve.values, np.float64)
    keeps = np.isfinite(y) & ((y > 0) | (not is_log))
    x, y = x[keeps], y[keeps]
    if len(x) > MAX_POINTS:
        parts = zip(np.array_split(x, MAX_POINTS), np.array_split(y, MAX_POINTS))
        x, y = np.array([(part_x[-1], np.median(part_y)) for part_x, part_y in parts]).T
    return Curve(curve.name, x, y)


def _drawing(curves: list[Curve], is_log: bool) -> str:
    values = np.concatenate([c.values for c in curves])
    low, high = float(values.min()), float(values.max())
    if high - low <= 1e-9 * max(abs(high), 1e-9):
        low, high = (low / 2, high * 2) if is_log else (low - 0.5, high + 0.5)
    first, last = min(float(c.iterations[0]) for c in curves), max(float(c.iterations[-1]) for c in curves)
    first, last = (first, last) if last > first else (first - 1, last + 1)

    def across(iterations: ArrayLike) -> NDArray:
        return LEFT + (np.asarray(iterations) - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def upward(values: ArrayLike) -> NDArray:
        bend = np.log if is_log else np.asarray
        fraction = (bend(np.asarray(values, np.float64)) - bend(low)) / (bend(high) - bend(low))
        return HEIGHT - BOTTOM - fraction * (HEIGHT - TOP - BOTTOM)

    parts = []
    for value in log_ticks(low, high) if is_log else ticks(low, high):
        y = float(upward(value))
        parts.append(f'<path class="g" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="n" text-anchor="end" x="{LEFT - 6}" y="{y + 4:.1f}">{short_number(value)}</text>')
    for value in ticks(first, last, 4):
        parts.append(
            f'<text class="n" text-anchor="middle" x="{float(across(value)):.1f}" y="{HEIGHT - BOTTOM + 16}">'
            f"{short_number(value)}</text>"
        )
    parts.append(f'<text class="u" text-anchor="middle" x="{(WIDTH + LEFT) / 2:g}" y="{HEIGHT - 3}">iteration</text>')
    for number, curve in enumerate(curves):
        x = across(curve.iterations)
        parts.append(_path(x, upward(curve.values), f"c c{number} raw"))
        parts.append(_path(x, upward(running_median(np.asarray(curve.values))), f"c c{number}"))
    return "".join(parts) + (_legend(curves) if len(curves) > 1 else "")


def _path(x: NDArray, y: NDArray, kind: str) -> str:
    points = "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y))
    return f'<path class="{kind}" d="M{points}{"h.1" if len(x) == 1 else ""}"/>'


def _legend(curves: list[Curve]) -> str:
    spans = "".join(f'<tspan class="l{i}" dx="9">{html.escape(c.name)}</tspan>' for i, c in enumerate(curves))
    return f'<text class="n" text-anchor="end" x="{WIDTH - RIGHT}" y="16">{spans}</text>'
