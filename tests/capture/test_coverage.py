"""Gaps in rings of cameras."""

import math

import pytest
import torch

from neus.capture.coverage import widest_gap
from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at
from tests.capture.test_upright import AHEAD, ASIDE, UP


def ring(azimuths: list[float], elevation: float = 0.0) -> list[Camera]:
    made, rise = [], math.radians(elevation)
    for azimuth in map(math.radians, azimuths):
        level = math.cos(azimuth) * AHEAD + math.sin(azimuth) * ASIDE
        center = 3.0 * (math.cos(rise) * level + math.sin(rise) * UP)
        made.append(Camera(torch.eye(3, dtype=torch.float64), look_at(center, torch.zeros(3, dtype=torch.float64), UP), 4, 3))
    return made


def test_the_widest_gap_is_found_wherever_the_ring_begins():
    for shift in (0, 100, 200, 300):
        gap = widest_gap(ring([shift + a for a in (0, 40, 80, 150, 200, 300)]), UP)
        assert gap.degrees == pytest.approx(100.0) and gap.between == (4, 5)


def test_a_gap_across_the_beginning_counts():
    gap = widest_gap(ring([10.0, 60.0, 100.0]), UP)
    assert gap.degrees == pytest.approx(270.0) and gap.between == (2, 0)


def test_cameras_steeply_above_do_not_close_a_gap():
    cameras = ring([0.0, 60.0, 120.0, 180.0]) + ring([240.0, 300.0], elevation=70.0)
    assert widest_gap(cameras, UP).degrees == pytest.approx(180.0)
    assert widest_gap(ring([0.0, 90.0], elevation=70.0), UP) is None
