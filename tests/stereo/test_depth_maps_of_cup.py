"""Depths of the built-in scene against those traced through its exact distances."""

import numpy as np
import pytest
import torch

from neus.geometry.cup import BOUNDING_RADIUS, object_sdf
from neus.geometry.rays import intersect_sphere
from neus.scenes.synthetic import render_scene
from neus.stereo.depth_maps import depth_maps, open_spans
from neus.stereo.stereo_views import stereo_views

N_STEPS = 60


def traced_depths(view):
    """(H, W) depths of the cup by sphere tracing, NaN beside it."""
    v, u = np.indices(view.grey.shape)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3) @ view.backprojection().T
    lengths = np.linalg.norm(rays, axis=1)
    directions = torch.from_numpy(rays / lengths[:, None]).float()
    origins = torch.from_numpy(view.center).float().expand(len(rays), 3)
    t, far, is_near = intersect_sphere(origins, directions, BOUNDING_RADIUS)
    for _ in range(N_STEPS):
        distances = object_sdf(origins + t.unsqueeze(-1) * directions)
        t = t + distances
    is_hit = is_near & (t < far) & (distances.abs() < 1e-3)
    return np.where(is_hit.numpy(), t.numpy() / lengths, np.nan).reshape(view.grey.shape)


@pytest.fixture(scope="module")
def views():
    return stereo_views(render_scene(views=40, width=128, height=96, antialias=1), 128)


def test_most_of_the_cup_is_known_within_a_few_hundredths_of_its_size(views):
    off, known = [], []
    for estimate, view in list(zip(depth_maps(views, open_spans(views)), views, strict=True))[::8]:
        true = traced_depths(view)
        is_cup = np.isfinite(true) & view.mask
        known.append(np.isfinite(estimate.depths[is_cup]).mean())
        off.append(abs(estimate.depths - true)[is_cup & np.isfinite(estimate.depths)])
    off = np.concatenate(off)
    assert np.mean(known) > 0.6
    assert np.median(off) < 0.015 and (off < 0.04).mean() > 0.75
