"""Pyramids that several tests look at."""

import pytest
import torch

from neus.geometry import shapes
from neus.lod.distill import DistillConfig, distilled
from neus.lod.teacher import Teacher


def torus(points):
    """(...) distances to the torus that is distilled."""
    return shapes.torus(points, 0.55, 0.22)


@pytest.fixture(scope="session")
def torus_levels():
    """The torus in four levels of 8 channels after a few steps; not to be written to."""
    torch.manual_seed(0)
    return distilled(Teacher(torus, name="torus"), DistillConfig(n_levels=4, n_channels=8, steps=60))
