import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from neus.reports.curves import HEIGHT, MAX_POINTS, WIDTH, Curve, curves_svg, log_ticks, running_median, ticks


def paths(svg, kind="c c0"):
    return [
        np.array(re.findall(r"[-\d.]+ [-\d.]+", e.get("d").removesuffix("h.1")))
        for e in ElementTree.fromstring(svg).iter("path")
        if e.get("class") == kind
    ]


def points(svg, kind):
    (path,) = paths(svg, kind)
    return np.array([[float(x) for x in pair.split()] for pair in path])


def test_an_exponential_is_a_straight_line_on_a_log_axis():
    x = np.arange(1, 100)
    drawn = points(curves_svg("Loss", "", [Curve("a", x, np.exp(-0.1 * x))], is_log=True), "c c0 raw")
    slopes = np.diff(drawn[:, 1]) / np.diff(drawn[:, 0])
    assert slopes == pytest.approx(np.full(98, slopes.mean()), abs=0.06) and slopes.mean() > 0  # y points down


def test_larger_is_higher_and_all_lies_within_the_drawing():
    rng = np.random.default_rng(0)
    values = rng.normal(size=50)
    drawn = points(curves_svg("PSNR", "dB", [Curve("a", range(50), values)]), "c c0 raw")
    assert np.array_equal(np.argsort(-drawn[:, 1], kind="stable")[[0, -1]], [values.argmin(), values.argmax()])
    assert (drawn >= 0).all() and (drawn <= (WIDTH, HEIGHT)).all()


@pytest.mark.parametrize("is_log", [False, True])
def test_what_is_not_finite_or_not_positive_is_left_out(is_log):
    values = [1.0, math.nan, math.inf, 2.0, 0.0, -1.0]
    drawn = points(curves_svg("x", "", [Curve("a", range(6), values)], is_log), "c c0 raw")
    assert len(drawn) == (2 if is_log else 4)


def test_nothing_recorded_is_said():
    for curve in ([], [Curve("a", [], [])], [Curve("a", [1], [math.nan])]):
        assert "nothing was recorded" in curves_svg("Loss", "", curve, is_log=True)


def test_one_point_and_a_constant_are_drawn():
    for values in ([3.0], [3.0, 3.0, 3.0], [0.0]):
        assert np.isfinite(points(curves_svg("a", "", [Curve("a", range(len(values)), values)]), "c c0")).all()


def test_long_curves_are_thinned_and_keep_their_end():
    svg = curves_svg("a", "", [Curve("a", range(1, 300001), np.linspace(1, 2, 300000))])
    drawn = points(svg, "c c0")
    assert len(drawn) == MAX_POINTS and len(svg) < 40_000 and drawn[-1, 0] == pytest.approx(WIDTH - 12)


def test_names_are_escaped():
    curves = [Curve("<b>&", [1, 2], [1, 2]), Curve("b", [1, 2], [1, 3])]
    assert (
        "<b>" not in curves_svg("a < b", "", curves)
        and ElementTree.fromstring(curves_svg("a < b", "", curves)) is not None
    )


@pytest.mark.parametrize("span", [(0.0, 1.0), (-3.0, 250.0), (11.6, 25.9), (1e-7, 3e-7)])
def test_ticks_are_round_few_and_within(span):
    found = ticks(*span)
    assert 2 <= len(found) <= 6 and span[0] - 1e-12 <= found[0] and found[-1] <= span[1] + 1e-12


@pytest.mark.parametrize("span", [(0.01, 0.012), (0.3, 700.0), (26.0, 495.0), (1e-6, 1e3)])
def test_log_axes_have_at_least_two_numbers(span):
    assert 2 <= len(log_ticks(*span)) <= 10


def test_a_running_median_passes_over_an_outlier_and_keeps_a_line():
    line = np.linspace(0, 1, 41)
    spiked = line.copy()
    spiked[20] = 100.0
    assert running_median(line) == pytest.approx(line)
    assert np.abs(running_median(spiked) - line).max() < 0.05
