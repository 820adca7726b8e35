from types import SimpleNamespace

import numpy as np
import pytest
import torch

from neus.stereo.exposure import ExposureFit
from neus.training import common_exposure
from tests.stereo.painted_sphere import sphere_scene

SCENE = sphere_scene(range(0, 360, 45), (-20.0, 10.0, 40.0))
TOWARD_X = SCENE.camera_to_scene[:, 0, 3].numpy() / 3.0
CHANCE = np.random.default_rng(2).uniform(-0.2, 0.2, len(SCENE))
SHAPE = SimpleNamespace(distances=torch.zeros(2, 2, 2), points=SimpleNamespace(points=np.zeros((1, 3))))


@pytest.fixture
def decided(monkeypatch):
    """Whether views of these logarithms of levels (V,) and standard errors are leveled, and what is said."""

    def decide(logs, error, kind="auto"):
        levels = np.repeat(np.exp(logs)[:, None], 3, axis=1)
        fit = ExposureFit(levels, np.zeros_like(levels), levels, np.full_like(levels, error))
        monkeypatch.setattr(common_exposure, "exposures_of", lambda scene, distances, points: fit)
        lines = []
        return common_exposure.common_exposure(SCENE, SHAPE, kind, lines.append) is not None, " ".join(lines)

    return decide


def test_gains_drawn_at_random_are_leveled(decided):
    is_leveled, said = decided(CHANCE, 0.004)
    assert is_leveled and "not as their places do; leveled to the mean of all views" in said


def test_gains_that_follow_the_place_are_not_leveled(decided):
    is_leveled, said = decided(0.3 * TOWARD_X + 0.1 * CHANCE, 0.004)
    assert not is_leveled and "as their places do; colours learn that" in said and "not as" not in said
    assert decided(0.3 * TOWARD_X, 0.004, kind="affine")[0]


def test_gains_that_follow_the_place_in_part_are_leveled(decided):
    assert decided(0.05 * TOWARD_X + CHANCE, 0.004)[0]


@pytest.mark.parametrize(("logs", "error"), [(0.1 * CHANCE, 0.0001), (CHANCE, 0.1)])
def test_little_changes_and_uncertain_ones_are_left_alone(decided, logs, error):
    assert decided(logs, error) == (False, "")
