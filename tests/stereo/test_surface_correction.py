"""Offsets bring a surface back to where the images agree about it, and end softly where they say nothing."""

import numpy as np
import torch

from neus.kernels.trilinear.reference import trilinear
from neus.stereo.surface_correction import confidence_lattice, faded, surface_correction
from neus.stereo.surface_points import SurfacePoints
from tests.stereo.painted_sphere import RADIUS, sphere_distances, sphere_scene

OFF = 0.01
# Views on one side only: what is behind is seen by none.
ARC = range(-40, 41, 10)


def test_a_sphere_too_large_is_brought_back_where_it_is_seen_and_left_alone_elsewhere():
    distances = sphere_distances(128, RADIUS + OFF)
    corrected = torch.from_numpy(distances + surface_correction(sphere_scene(ARC), distances))
    normals = np.random.default_rng(0).standard_normal((20_000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    at_truth = trilinear(corrected, torch.from_numpy(RADIUS * normals).float()).numpy()
    is_front, is_behind = normals[:, 0] > 0.85, normals[:, 0] < -0.2
    # Not all of it: where images are less than sure it counts less.
    assert np.median(np.abs(at_truth[is_front])) < 0.2 * OFF
    assert np.allclose(at_truth[is_behind], -OFF, atol=0.02 * OFF)


def test_offsets_fade_within_a_few_vertices():
    known = np.zeros((31, 31, 31), np.float32)
    known[:16] = 1.0
    offsets = np.full(known.shape, 0.01, np.float32) * known
    along = faded(offsets, known)[:, 15, 15]
    assert (along[:16] == np.float32(0.01)).all() and (np.diff(along[15:]) <= 1e-9).all() and (along[21:] == 0.0).all()
    assert np.abs(np.diff(along)).max() < 0.0045


def test_confidences_are_means_of_the_points_around():
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.2], [0.9, 0.9, 0.9]], np.float32)
    sure = confidence_lattice(SurfacePoints(points, points, np.array([1.0, 0.5, 0.25], np.float32)), 41, (slice(0, 41),) * 3)
    # Vertices are 0.05 apart: the first two are 4 vertices apart, the third far from both.
    assert np.isclose(sure[20, 20, 22], 0.75) and np.isclose(sure[38, 38, 38], 0.25) and sure[20, 20, 17] == 1.0
    assert sure[2, 2, 2] == 0.0 and sure.max() <= 1.0
