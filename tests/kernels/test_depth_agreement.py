import numpy as np
import pytest

from neus.kernels.depth_agreement import cpu, reference

BOTH = pytest.mark.parametrize("kernels", [cpu, reference])


def test_compiled_and_plain_agree():
    generator = np.random.default_rng(0)
    depths, other = generator.uniform(1, 4, (17, 23)).astype(np.float32), generator.uniform(1, 4, (13, 29)).astype(np.float32)
    depths[generator.random(depths.shape) < 0.2], other[generator.random(other.shape) < 0.2] = np.nan, np.nan
    for _ in range(5):
        to_other = np.eye(3, 4) + generator.normal(size=(3, 4)) * [[0.05, 0.05, 3, 3], [0.05, 0.05, 3, 3], [0.02, 0.02, 0.3, 0.5]]
        found, expected = (kernels.agreements(depths, to_other, other, 0.1) for kernels in (cpu, reference))
        np.testing.assert_array_equal(found, expected)
        assert 0.02 < found.mean() < 0.9


@BOTH
def test_a_plane_agrees_with_itself_and_not_with_another_one(kernels):
    # The other camera stands half a unit further back: what has depth 2 here has depth 2.5 there.
    back = np.eye(3, 4)
    back[2, 3] = 0.5
    here = np.full((6, 7), 2.0, np.float32)
    assert kernels.agreements(here, back, np.full((6, 7), 2.5, np.float32), 0.01).all()
    assert not kernels.agreements(here, back, np.full((6, 7), 2.6, np.float32), 0.01).any()
    assert kernels.agreements(here, back, np.full((6, 7), 2.6, np.float32), 0.02).all(), "1 / 2.5 - 1 / 2.6 = 0.015"


@BOTH
def test_what_is_unknown_behind_the_camera_or_out_of_the_frame_does_not_agree(kernels):
    depths, nothing = np.full((4, 5), 2.0, np.float32), np.full((4, 5), np.nan, np.float32)
    assert not kernels.agreements(nothing, np.eye(3, 4), depths, 1.0).any()
    assert not kernels.agreements(depths, np.eye(3, 4), nothing, 1.0).any()
    behind, aside = np.eye(3, 4), np.eye(3, 4)
    behind[2, 3], aside[0, 3] = -3.0, 100.0
    assert not kernels.agreements(depths, behind, depths, 10.0).any()
    assert not kernels.agreements(depths, aside, depths, 10.0).any()
