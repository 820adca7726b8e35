"""Planes fitted to windows: exact for a plane with holes, and compiled and plain agree."""

import numpy as np
import pytest

from neus.kernels.plane_fit import cpu, reference


def holed(shape, seed=3):
    """Random weights, a fifth of them 0."""
    generator = np.random.default_rng(seed)
    return (generator.uniform(0.2, 1.0, shape) * (generator.uniform(size=shape) > 0.2)).astype(np.float32)


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_a_plane_with_holes_and_weights_is_found_exactly(kernels):
    y, x = np.mgrid[:9, :11]
    weights = holed((9, 11))
    truth = 0.4 + 0.01 * x - 0.02 * y
    planes = kernels.planes_of_windows(np.where(weights > 0, truth, np.nan), weights, 5)
    known = np.isfinite(planes[..., 0])
    assert known[weights > 0].mean() > 0.9
    expected = np.stack([truth, np.full_like(truth, 0.01), np.full_like(truth, -0.02)], axis=-1)
    np.testing.assert_allclose(planes[known], expected[known], atol=1e-6)


@pytest.mark.parametrize("window", [3, 5, 7])
def test_compiled_and_plain_agree_about_known_pixels(window):
    weights = holed((23, 31), seed=window)
    weights[5:12, 10:25] = 0.0
    values = np.random.default_rng(0).uniform(0.3, 0.5, weights.shape).astype(np.float32)
    found, expected = (kernels.planes_of_windows(values, weights, window) for kernels in (cpu, reference))
    np.testing.assert_allclose(found[weights > 0], expected[weights > 0], atol=1e-9)


def test_pixels_on_one_line_have_no_plane():
    weights = np.zeros((9, 20), np.float32)
    weights[4] = 1.0
    assert np.isnan(cpu.planes_of_windows(weights, weights, 9)).all()
