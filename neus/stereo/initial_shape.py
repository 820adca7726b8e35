"""An initial shape of the object from posed images, for training to start from: visual hull, carved by depths and colours."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from scipy.ndimage import binary_dilation
from torch import Tensor

from neus.errors import InputError
from neus.scenes.scene import Scene
from neus.stereo.depth_fusion import carved, with_silhouettes
from neus.stereo.lattice_distances import distances_from_values
from neus.stereo.photo_carving import air_carved, photo_carved
from neus.stereo.plane_sweep import small_masks, sweep_depths
from neus.stereo.visual_hull import BALL_RADIUS, MOST_VIEWS, hull_values, spread_views

# Without masks the sweep goes on behind the sphere, this many times as far as the camera's distance from it: what lies
# there shows that the space before it is empty.
BEHIND = 4.0
# More views than these cost seconds and hardly show more: each part of an object is then in the depth maps of a dozen.
MOST_SWEPT = 48
# What was seen speaks for vertices up to so many steps from it.
OBSERVED_MARGIN = 3


class InitialShape(NamedTuple):
    """An initial shape on a lattice.

    Attributes:
        distances: (P, P, P) float32, signed, scene units, negative inside.
        is_visible: (P, P, P) bool, near what images were seen to show; elsewhere the shape is all that masks, or the ball,
            leave, and may be far too large.
    """

    distances: Tensor
    is_visible: Tensor


def initial_shape(scene: Scene, resolution: int = 128, on_progress: Callable[[float], None] | None = None) -> InitialShape:
    """An initial shape of the object.

    The shape is the visual visual hull, or without masks the ball that is looked for, less the space that the
    images prove to be empty: by depth, and by colours that contradict a fill within masks, or matter in the air where
    there are none. It is made to contain the object: where nothing can be matched the hull stays.

    Args:
        scene: with or without masks.
        resolution: P, vertices linspace(-1, 1, P) along each axis; the result is indexed [x, y, z].
        on_progress: receives the fraction of the work that is done, from 0 to 1.

    Returns:
        Tensors on the CPU.

    Raises:
        InputError: a resolution below 8, or masks that have no point in common.
    """
    if resolution < 8:
        raise InputError(f"initial shape: resolution {resolution}; expected at least 8 vertices along each axis.")
    values = hull_values(scene, resolution)
    if not (values < 0).any():
        raise InputError(
            f"{scene.source}: the masks of the {len(scene)} views have no point in common inside the unit sphere; check "
            "that masks and cameras belong to the same images, or train without masks (--conf womask.conf)."
        )
    swept = _thinned(scene)
    maps = sweep_depths(swept, _spans(swept, values), on_progress)
    fused, is_visible = carved(values, maps)
    if scene.masks is not None:
        masks = small_masks(scene.subset(spread_views(scene, MOST_VIEWS)))
        fused = with_silhouettes(values, fused, masks)
        fused = with_silhouettes(fused, photo_carved(fused, is_visible, swept), masks)
    else:
        fused = air_carved(fused, is_visible, swept)
    distances = torch.from_numpy(distances_from_values(fused, 2.0 / (resolution - 1)))
    if on_progress:
        on_progress(1.0)
    is_visible = binary_dilation(is_visible, iterations=OBSERVED_MARGIN)
    return InitialShape(distances, torch.from_numpy(is_visible))


def initial_distances(
    scene: Scene, resolution: int = 128, on_progress: Callable[[float], None] | None = None
) -> Tensor:
    """(P, P, P) the distances of `initial_shape`."""
    return initial_shape(scene, resolution, on_progress).distances


def _thinned(scene: Scene) -> Scene:
    """The scene with at most `MOST_SWEPT` of its views, spread evenly over their order."""
    n = len(scene)
    if n <= MOST_SWEPT:
        return scene
    return scene.subset(sorted({round(i * (n - 1) / (MOST_SWEPT - 1)) for i in range(MOST_SWEPT)}))


def _spans(scene: Scene, values: np.ndarray) -> np.ndarray:
    """(V, 2) nearest and farthest depth at which each view may see a surface."""
    poses = scene.camera_to_scene.numpy()
    forward, centers = poses[:, :3, 2], poses[:, :3, 3]
    if scene.masks is None:
        depths = -(centers * forward).sum(-1)
        distances = np.linalg.norm(centers, axis=-1)
        near = np.maximum(depths - BALL_RADIUS, 0.1 * distances)
        return np.stack([near, BEHIND * distances], axis=-1)
    step = 2.0 / (len(values) - 1)
    # A view's nearest and farthest vertex lie among the first and last of their columns.
    inside = values < 0
    ends = inside & ~(np.roll(inside, 1, axis=2) & np.roll(inside, -1, axis=2))
    points = np.argwhere(ends) * step - 1.0
    depths = points @ forward.T - (centers * forward).sum(-1)
    near, far = depths.min(axis=0) - step, depths.max(axis=0) + step
    return np.stack([np.maximum(near, 0.1 * np.linalg.norm(centers, axis=-1)), far], axis=-1)
