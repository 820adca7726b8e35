"""The vertical of a captured scene."""

import math

import numpy as np
import pytest
import torch

from neus.capture.upright import level_up, vertical_of
from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at, rotation_from_vector

UP = torch.nn.functional.normalize(torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64), dim=0)
AHEAD = torch.nn.functional.normalize(torch.linalg.cross(UP, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)), dim=0)
ASIDE = torch.linalg.cross(UP, AHEAD)


def cameras_around(rolls: list[float], arc: float = 360.0, turns: list[int] | None = None) -> list[Camera]:
    """Cameras at two heights around the origin, rolled by so many degrees, their rasters turned as noted."""
    made = []
    for i, roll in enumerate(rolls):
        angle = math.radians(arc * i / len(rolls))
        height = (0.3, 0.9)[i % 2]
        center = 2.5 * (math.cos(angle) * AHEAD + math.sin(angle) * ASIDE + height * UP)
        turn = turns[i] if turns else 0
        pose = look_at(center, torch.zeros(3, dtype=torch.float64), UP)
        # Held rolled; and a raster that is to be turned clockwise is one whose x axis points down.
        spin = torch.tensor([0.0, 0.0, math.radians(roll) + turn * math.pi / 2], dtype=torch.float64)
        pose[:3, :3] = pose[:3, :3] @ rotation_from_vector(spin)
        made.append(Camera(torch.eye(3, dtype=torch.float64), pose, 64, 48, turn))
    return made


def degrees_off(direction: torch.Tensor) -> float:
    return float(torch.rad2deg(torch.arccos((direction @ UP).clamp(-1.0, 1.0))))


def test_level_cameras_have_the_vertical_in_no_image_horizontal():
    assert degrees_off(level_up(cameras_around([0.0] * 12))) < 1e-4


def test_a_few_rolled_cameras_do_not_tilt_the_vertical():
    generator = np.random.default_rng(0)
    rolls = list(generator.normal(0.0, 0.8, 20))
    rolls[3], rolls[8], rolls[12] = 20.0, 35.0, 15.0
    assert degrees_off(level_up(cameras_around(rolls))) < 1.0


def test_rasters_on_their_side_are_turned_first():
    turns = [0, 1, 3, 1, 0, 2, 3, 1, 0, 1, 3, 0]
    for are_noted in (False, True):
        assert degrees_off(level_up(cameras_around([0.0] * 12, turns=turns), are_noted)) < 1e-4


def test_a_narrow_arc_gives_the_mean_of_what_is_up_in_its_images():
    found = level_up(cameras_around([0.0] * 6, arc=10.0), are_noted=True)
    assert degrees_off(found) < 35.0  # the images look down by 17 to 42 degrees


def table(tilt: float, generator: np.random.Generator) -> torch.Tensor:
    """Points of a ball on a table whose normal is tilted against the vertical by so many degrees."""
    normal = math.cos(math.radians(tilt)) * UP + math.sin(math.radians(tilt)) * AHEAD
    first = torch.nn.functional.normalize(torch.linalg.cross(normal, ASIDE), dim=0)
    second = torch.linalg.cross(normal, first)
    flat = torch.from_numpy(generator.uniform(-1.0, 1.0, (600, 2)))
    below = -0.5 * normal + flat[:, :1] * first + flat[:, 1:] * second + 0.001 * torch.from_numpy(generator.normal(size=(600, 3)))
    ball = 0.5 * torch.nn.functional.normalize(torch.from_numpy(generator.normal(size=(800, 3))), dim=1)
    return torch.cat([below, ball])


def test_what_the_object_stands_on_is_level_more_precisely_than_hands_are():
    rolls = [3.0, 3.5, 2.5, 4.0, 3.0, 2.0, 3.0, 4.0, 3.5, 2.5]  # always to the same side
    found = vertical_of(cameras_around(rolls), table(0.0, np.random.default_rng(1)))
    assert found.found_from == "support plane" and degrees_off(found.up) < 0.2


@pytest.mark.parametrize("tilt", [40.0, 90.0])
def test_a_slope_or_a_wall_is_no_support(tilt):
    found = vertical_of(cameras_around([0.0] * 10), table(tilt, np.random.default_rng(1)))
    assert found.found_from == "cameras" and degrees_off(found.up) < 1e-4


def test_few_points_say_nothing():
    assert vertical_of(cameras_around([0.0] * 10), torch.zeros((5, 3), dtype=torch.float64)).found_from == "cameras"
