"""Numbers of image files and the light they mean: sRGB (IEC 61966-2-1), and exposures of views leveled."""

from typing import NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.meshing.visibility import mesh_depth
from neus.scenes.scene import Scene
from neus.stereo.exposure import LONGEST_SIDE, MOST_POINTS, fitted_exposures, observed_colors
from neus.stereo.stereo_views import stereo_views
from neus.texturing.view_weights import vertex_normals

_LEVELS = np.arange(256) / 255.0
# Steps of linear light in which colours are turned to sRGB: the darkest levels lie 1/3300 apart.
STEPS = 1 << 14


class Exposures(NamedTuple):
    """What the views' numbers mean.

    Attributes:
        levels: (V, 256, 3) float32 leveled sRGB in [0, 1] of each number.
        ratio: of the brightest to the darkest view, 1 if all are alike.
    """

    levels: NDArray
    ratio: float


def linear(values: NDArray) -> NDArray:
    """Linear light in [0, 1] of sRGB values in [0, 1].

    >>> linear(np.array([0.0, 0.5, 1.0])).round(4).tolist()
    [0.0, 0.214, 1.0]
    """
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def encoded(light: NDArray) -> NDArray:
    """sRGB values in [0, 1] of linear light in [0, 1]; inverse of `linear`."""
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 1e-12) ** (1.0 / 2.4) - 0.055)


# Numbers of a channel from which it begins to be saturated, and from which it is: beyond, a number says "at least so bright".
SATURATES, SATURATED = 235, 250
_TABLE = (255.0 * encoded(np.arange(STEPS) / (STEPS - 1.0))).round().astype(np.uint8)


def bytes_of_light(light: NDArray) -> NDArray:
    """uint8 sRGB of linear light; what is beyond [0, 1] is clipped."""
    return _TABLE[(np.clip(light, 0.0, 1.0) * (STEPS - 1) + 0.5).astype(np.int32)]


def same_exposures(n_views: int) -> Exposures:
    """The numbers of all views as they are."""
    return Exposures(np.broadcast_to(_LEVELS[None, :, None], (n_views, 256, 3)).astype(np.float32), 1.0)


def leveled_exposures(scene: Scene, mesh: trimesh.Trimesh, seed: int = 0) -> Exposures:
    """Exposures and white balances of the views of a scene brought to their mean, by what they show of a mesh.

    Args:
        scene: V views.
        mesh: in its frame.
        seed: of the vertices that are compared.
    """
    n = len(mesh.vertices)
    chosen = np.sort(np.random.default_rng(seed).permutation(n)[:MOST_POINTS])
    points = np.asarray(mesh.vertices, np.float64)
    normals = vertex_normals(points, np.asarray(mesh.faces))[chosen]
    views, depths = stereo_views(scene, LONGEST_SIDE), []
    for view in views:
        height, width = view.grey.shape
        depths.append(mesh_depth(mesh, scene.camera(view.index).resized(width, height)))
    fit = fitted_exposures(observed_colors(views, depths, points[chosen], normals))
    common = (_LEVELS[None, :, None] - fit.offsets[:, None]) / fit.gains[:, None]
    # What is saturated may be of any brightness: white stays white and does not become grey.
    share = np.clip((_LEVELS * 255.0 - SATURATES) / (SATURATED - SATURATES), 0.0, 1.0)[None, :, None]
    common = np.maximum(common, (1.0 - share) * common + share)
    ratio = float(np.exp(np.ptp(np.log(np.maximum(fit.levels, 1e-6)), axis=0).max()))
    return Exposures(np.clip(common, 0.0, 1.0).astype(np.float32), ratio)
