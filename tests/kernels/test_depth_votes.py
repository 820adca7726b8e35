"""Votes of one depth map: compiled and plain agree, and a plane is where it is."""

import numpy as np
import pytest

from neus.kernels.depth_votes import cpu, reference

SIZE = 33


def votes(kernels, matrix, depths, limits, first=0, n_planes=SIZE, reach=0.1, thickness=0.4):
    counts = [np.zeros((n_planes, SIZE, SIZE), np.uint16) for _ in range(3)]
    sums = [np.zeros((n_planes, SIZE, SIZE), np.float32) for _ in range(2)]
    kernels.add_votes(matrix, depths, limits, first, reach, thickness, *counts, *sums)
    return *counts, *sums


def camera(distance=3.0, focal=70.0, columns=83, rows=61):
    """Looks along +x from (-distance, 0, 0)."""
    intrinsics = np.array([[focal, 0, (columns - 1) / 2], [0, focal, (rows - 1) / 2], [0, 0, 1]])
    pose = np.array([[0, 1.0, 0, 0], [0, 0, 1.0, 0], [1.0, 0, 0, distance]])
    return (intrinsics @ pose).astype(np.float32)


@pytest.mark.parametrize("distance", [3.0, 0.5])
def test_compiled_and_plain_cast_the_same_votes(distance):
    # From 0.5 the camera stands within the lattice: part of it is behind the camera.
    generator = np.random.default_rng(0)
    matrix = camera(distance) + np.float32(0.05) * generator.normal(size=(3, 4)).astype(np.float32)
    depths = np.sort(distance + 0.3 * generator.normal(size=(61, 83)), axis=1).astype(np.float32)
    depths[generator.random(depths.shape) < 0.2] = np.nan
    limits = np.where(generator.random(depths.shape) < 0.1, np.float32(np.inf), depths)
    for first, n_planes in ((0, SIZE), (7, 5), (32, 1)):
        found, expected = (votes(k, matrix, depths, limits, first, n_planes) for k in (cpu, reference))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)
        assert all(part.any() for part in votes(cpu, matrix, depths, limits)[:3])


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_a_plane_is_before_free_space_no_longer_and_at_its_distance(kernels):
    matrix, depths = camera(), np.full((61, 83), 3.2, np.float32)
    free, near, behind, weight, total = votes(kernels, matrix, depths, depths)
    x = np.linspace(-1.0, 1.0, SIZE)
    middle = SIZE // 2
    before = 0.2 - x
    assert np.array_equal(free[:, middle, middle], before > 0.1)
    assert np.array_equal(near[:, middle, middle], abs(before) <= 0.1)
    assert np.array_equal(behind[:, middle, middle], (before < -0.05) & (before > -0.4))
    expected = np.maximum(1.0 - abs(before) / 0.1, 0.0)
    np.testing.assert_allclose(weight[:, middle, middle], expected, atol=3e-6)
    np.testing.assert_allclose(total[:, middle, middle], expected * before, atol=1e-6)


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_a_slanted_surface_is_read_between_its_pixels(kernels):
    # x = 0.4 y: the depth of pixel u is 3 / (1 - 0.4 (u - 41) / 70).
    u = (np.arange(83) - 41) / 70
    depths = np.tile((3.0 / (1.0 - 0.4 * u)).astype(np.float32), (61, 1))
    _, near, _, weight, total = votes(kernels, camera(), depths, depths)
    axis = np.linspace(-1.0, 1.0, SIZE)
    x, y, _ = np.meshgrid(axis, axis, axis, indexing="ij")
    ray = y / (3.0 + x)
    exact = 3.0 / (1.0 - 0.4 * ray) - (3.0 + x)
    is_inner = (weight > 0.1) & (abs(ray) < 0.4)
    np.testing.assert_allclose((total / np.maximum(weight, 0.1))[is_inner], exact[is_inner], atol=2e-4)


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_unknown_pixels_say_nothing_and_endless_ones_that_all_is_free(kernels):
    unknown = np.full((61, 83), np.nan, np.float32)
    assert not any(part.any() for part in votes(kernels, camera(), unknown, unknown))
    free, near, behind, *_ = votes(kernels, camera(), unknown, np.full_like(unknown, np.inf))
    assert free[:, 16, 16].all() and not near.any() and not behind.any()


@pytest.mark.parametrize("kernels", [cpu, reference])
def test_an_unknown_pixel_beside_does_not_hide_a_surface(kernels):
    depths = np.full((61, 83), 3.0, np.float32)
    depths[:, ::2] = np.nan
    _, near, _, weight, total = votes(kernels, camera(), depths, depths)
    assert near.any() and np.isfinite(total).all()
