"""Views from all around the origin, and exact depth maps of spheres in them."""

import math

import numpy as np

from neus.stereo.stereo_views import DepthEstimate, StereoView

SIZE, FOCAL, DISTANCE = 64, 80.0, 3.0


def views_around(n_views=24, rgb=None, masks=None):
    """Views on a spiral over the whole sphere of directions, looking at the origin; images are noise, no plain background."""
    generator, views = np.random.default_rng(0), []
    for i in range(n_views):
        height = 1.0 - (2 * i + 1) / n_views
        angle, radius = 2.399963 * i, math.sqrt(1.0 - height * height)
        forward = -np.array([radius * math.cos(angle), radius * math.sin(angle), height])
        right = np.cross([0.3, 0.2, 1.0], forward)
        right /= np.linalg.norm(right)
        rotation = np.stack([right, np.cross(forward, right), forward])
        center = -DISTANCE * forward
        middle = (SIZE - 1) / 2
        intrinsics = np.array([[FOCAL, 0.0, middle], [0.0, FOCAL, middle], [0.0, 0.0, 1.0]])
        matrix = intrinsics @ np.column_stack([rotation, -rotation @ center])
        image = generator.integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8) if rgb is None else rgb[i]
        mask = None if masks is None else masks[i]
        views.append(StereoView(i, image, image[..., 0].astype(np.float32), mask, matrix, center, forward, FOCAL))
    return views


def rays_of(view):
    """(H, W, 3) directions of a view's pixels, of which one unit is one unit of depth."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    return np.stack([columns, rows, np.ones_like(rows)], axis=-1) @ view.backprojection().T


def sphere_depths(view, radius, center=(0.0, 0.0, 0.0)):
    """(H, W) float32 depth of a sphere, NaN beside it."""
    rays, offset = rays_of(view), view.center - np.asarray(center)
    a, b, c = (rays * rays).sum(-1), rays @ offset, offset @ offset - radius * radius
    discriminant = b * b - a * c
    with np.errstate(invalid="ignore"):
        return np.where(discriminant > 0, (-b - np.sqrt(discriminant)) / a, np.nan).astype(np.float32)


def estimate_of(view, depths):
    """A depth map as matching gives it."""
    return DepthEstimate(view.matrix, depths.astype(np.float32), np.isfinite(depths).astype(np.float32), 0.01)


def lattice(resolution):
    """(3, P, P, P) coordinates of the vertices."""
    axis = np.linspace(-1.0, 1.0, resolution)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))
