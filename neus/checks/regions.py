"""The region of interest in world units, ready to be pasted into a command or a conf."""

import math
from typing import Any

import torch

from neus.geometry.similarity import scale_of, transform_points
from neus.scenes.region import NEAREST_CAMERA_FRACTION, Region
from neus.scenes.scene import Scene

# Digits of a region's radius that are given.
DIGITS = 4


def region_settings(scene: Scene, region: Region | None = None) -> dict[str, Any]:
    """`dataset.center` and `dataset.radius`, world units, of a sphere in the scene frame; of the unit sphere if None."""
    region = region or Region(torch.zeros(3, dtype=torch.float64), 1.0)
    center = transform_points(scene.scene_to_world, region.center.double())
    radius = region.radius * scale_of(scene.scene_to_world)
    decimals = DIGITS - 1 - math.floor(math.log10(radius))
    return {
        "dataset.center": [round(value, decimals) + 0.0 for value in center.tolist()],
        "dataset.radius": round(radius, decimals),
    }


def assignments(settings: dict[str, Any]) -> str:
    """The settings as a config has them.

    >>> assignments({"dataset.center": [1.0, 2.5, -3.0], "dataset.radius": 2.0})
    'dataset.center=[1.0, 2.5, -3.0] dataset.radius=2.0'
    """
    return " ".join(f"{key}={value}" for key, value in settings.items())


def region_line(scene: Scene) -> str:
    """One line: the region of interest of a scene, and its source: a file, or what it was found from."""
    line = f"region of interest: {assignments(region_settings(scene))}"
    if scene.region_from:
        return f"{line} (from {scene.region_from})"
    return line


def suggested_region(scene: Scene, change: str, region: Region) -> tuple[str, dict[str, Any]]:
    """What to do for the region of interest to become a sphere in the scene frame, complete; and the settings.

    Args:
        scene: as read.
        change: such as "make the region of interest smaller".
        region: the sphere it should be, scene frame; it is kept clear of the cameras.
    """
    centers = scene.camera_to_scene[:, :3, 3]
    nearest = float((centers - region.center).norm(dim=-1).min())
    settings = region_settings(scene, Region(region.center, min(region.radius, NEAREST_CAMERA_FRACTION * nearest)))
    if scene.format == "idr":  # its reader takes the region from the camera file alone
        center, radius = settings["dataset.center"], settings["dataset.radius"]
        how = f"in the camera file set every scale_mat_i to scale {radius} and translation {center}"
        return f"{change}: {how}", {}
    options = " ".join(f"--set '{key}={value}'" for key, value in settings.items())
    return f"{change}: {options}", settings
