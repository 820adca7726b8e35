"""Colours from one view: compiled and plain agree, and both on what can be said in advance."""

import numpy as np
import pytest

from neus.kernels.texel_blend import cpu, reference
from neus.texturing.texels import texels_of

FORMS = pytest.mark.parametrize("form", [cpu, reference], ids=["cpu", "reference"])
LEVELS = np.repeat((np.arange(256) / 255.0)[:, None], 3, axis=1).astype(np.float32)


def case(seed=0, size=32, width=41, height=29):
    """A bent sheet of 8 faces before a camera, with a random image and doubtful pixels."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*2 * [np.linspace(0.0, 1.0, 3)]), axis=-1).reshape(-1, 2)
    i = np.array([0, 1, 3, 4])
    faces = np.concatenate([np.column_stack([i, i + 1, i + 3]), np.column_stack([i + 1, i + 4, i + 3])])
    corners = np.ascontiguousarray((grid * (size - 4) + 2)[faces])
    depth = 2.0 + 0.2 * rng.uniform(size=9)
    places = grid * [width * 1.1, height * 1.1] - 1.0
    projected = np.column_stack([places * depth[:, None], depth])
    depths = rng.choice([np.inf, 2.05, 2.3], (height // 2, width // 2)).astype(np.float32)
    texels = texels_of(corners, size)
    given = (texels.indices, texels.starts, size, corners, faces, projected, rng.uniform(-0.1, 1.0, 9).clip(0).astype(np.float32))
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return [*given, image, LEVELS, depths, rng.choice([0.0, 0.3, 1.0], depths.shape).astype(np.float32), 1e-3], len(texels.indices)


@pytest.mark.parametrize("seed", range(4))
def test_compiled_and_plain_agree(seed):
    given, n = case(seed)
    found, expected = np.zeros((n, 4), np.float32), np.ones((n, 4), np.float32)
    for first, last in ((0, 3), (3, 3), (3, 8)):
        cpu.add_view(*given, first, last, found)
    reference.add_view(*given, 0, 8, expected)
    assert (found[:, 3] > 0).mean() > 0.2
    assert np.allclose(found, expected - 1.0, atol=2e-5)


@FORMS
def test_a_plane_of_colours_is_taken_over_exactly(form):
    given, n = case()
    y, x = np.mgrid[:29, :41]
    given[7] = np.stack([5 * x + 10, 6 * y + 20, 2 * x + 3 * y], axis=-1).astype(np.uint8)
    given[6], given[9], given[10] = np.ones(9, np.float32), np.full((14, 20), np.inf, np.float32), np.ones((14, 20), np.float32)
    sums = np.zeros((n, 4), np.float32)
    form.add_view(*given, 0, 8, sums)
    texels, starts, size, corners, faces, projected = given[:6]
    owners = np.repeat(np.arange(8), np.diff(starts))
    centre = np.column_stack([texels % size + 0.5, texels // size + 0.5, np.ones(n)])
    parts = np.einsum("pij,pj->pi", np.linalg.inv(np.concatenate([corners, np.ones((8, 3, 1))], axis=2).transpose(0, 2, 1))[owners], centre)
    place = np.einsum("pi,pic->pc", parts, projected[faces[owners]])
    u, v = place[:, 0] / place[:, 2] - 0.5, place[:, 1] / place[:, 2] - 0.5
    inner = (u > 1) & (v > 1) & (u < 38) & (v < 26)
    expected = np.column_stack([5 * u + 10, 6 * v + 20, 2 * u + 3 * v]) / 255.0
    assert inner.sum() > 300 and np.allclose(sums[inner, :3], expected[inner], atol=1e-4) and np.allclose(sums[inner, 3], 1.0)


@FORMS
def test_what_lies_behind_something_is_not_seen(form):
    given, n = case()
    given[6], given[10] = np.ones(9, np.float32), np.ones((14, 20), np.float32)
    for depth, is_seen in ((1.9, False), (2.3, True)):
        given[9], sums = np.full((14, 20), depth, np.float32), np.zeros((n, 4), np.float32)
        form.add_view(*given, 0, 8, sums)
        assert sums.any() == is_seen
