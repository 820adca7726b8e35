import pytest

from neus.stereo.matches import match_neighbours
from tests.checks.right_scene import right_scene


@pytest.fixture(scope="session")
def right():
    return right_scene()


@pytest.fixture(scope="session")
def right_pairs(right):
    return match_neighbours(right)
