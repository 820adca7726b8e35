"""The region of interest from what images show: points that neighbouring ones share, for scenes without sparse points, then surfaces."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from neus.errors import RegionError
from neus.geometry.similarity import scale_of, similarity, transform_points
from neus.scenes.readers import OBJECT, DatasetConfig, read_scene
from neus.scenes.region import (
    FROM_ALL,
    FROM_AXES,
    FROM_DEPTHS,
    FROM_MASKS,
    FROM_POINTS,
    NEAREST_CAMERA_FRACTION,
    Region,
)
from neus.scenes.region_from_masks import MasksDisagree
from neus.scenes.region_from_points import region_from_points, region_of_all_points
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from neus.stereo.matches import match_neighbours
from neus.stereo.region_from_surface import region_from_surface
from neus.stereo.sparse_points import on_object, triangulated

FROM_MATCHES = "points that images share"
# What a region may be found from at first, before depth maps show the object itself.
FIRST_REGIONS = (FROM_AXES, FROM_DEPTHS, FROM_POINTS, FROM_MATCHES)
# A region of less than this much of the radius before is found once more: depth maps in it see the object more finely.
MUCH_SMALLER, MOST_ROUNDS = 0.5, 2
# Fewer points in space say less about the region than the optical axes do.
FEWEST_POINTS = 100
# A sphere needs the points of no more views than these, evenly among all; further ones only take time.
MOST_VIEWS = 60


def read_located_scene(
    folder: Path,
    config: DatasetConfig | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    on_start: Callable[[str], None] | None = None,
    lazy: bool = False,
) -> Scene:
    """`read_scene`, in a region of interest found from matches where the files hold nothing better.

    Args:
        folder, config, on_progress, on_start, lazy: as for `read_scene`; `lazy` finds the same region, from images that it reads for it.

    Raises:
        InputError: as `read_scene`; RegionError only if matches give no region, either.
    """
    config = config or DatasetConfig()
    try:
        return located(read_scene(Path(folder), config, lazy, on_progress, on_start), config)
    except MasksDisagree:
        raise
    except RegionError as error:  # parallel axes, say: they do not tell where the object is, but matches may
        world = replace(config, center=(0.0, 0.0, 0.0), radius=1.0, camera_outside_sphere=False)
        scene = read_scene(Path(folder), world, lazy, on_progress)
        if (region := region_from_matches(scene, config.region)) is None:
            raise error
        return located(checked(_in_region(scene, region), not config.camera_outside_sphere or config.region != OBJECT), config)


def located(scene: Scene, config: DatasetConfig) -> Scene:
    """The scene in the frame of the region that its images show, where its own was found from less; else the scene itself.

    The optical axes meet where the cameras look, which is on the object but rarely in its middle, and say nothing about its
    size: matches do. They lie, as sparse points do, on a table as well as on what stands on it: without masks depth maps
    tell both apart (`region_from_surface`). Given regions, and for `dataset.region = object` those from masks, stay.

    Args:
        scene: as `read_scene` made it.
        config: with which it was read.

    Raises:
        InputError: as `scene_checks.checked`, for the new frame.
    """
    allow_inside = not config.camera_outside_sphere or config.region != OBJECT
    improved = (FROM_AXES,) if config.region == OBJECT else (FROM_AXES, FROM_DEPTHS, FROM_MASKS)
    if scene.region_from in improved and (region := region_from_matches(scene, config.region)) is not None:
        scene = checked(_in_region(scene, region), allow_inside)
    if config.region != OBJECT or scene.masks is not None or scene.region_from not in FIRST_REGIONS:
        return scene
    for _ in range(MOST_ROUNDS):
        if (region := region_from_surface(scene)) is None:
            break
        scene = checked(_in_region(scene, region), allow_inside)
        if region.radius > MUCH_SMALLER:
            break
    return scene


def region_from_matches(scene: Scene, kind: str = OBJECT) -> Region | None:
    """The sphere around triangulated matches of neighbouring views, in the scene's frame; None where too few fit the cameras.

    Args:
        scene: at most `MOST_VIEWS` of its images are read.
        kind: `object` for the points that the cameras look at, within the masks if there are any, `scene` for all.
    """
    chosen = scene if len(scene) <= MOST_VIEWS else scene.subset(torch.linspace(0, len(scene) - 1, MOST_VIEWS).long().tolist())
    sparse = triangulated(chosen, match_neighbours(chosen), set())
    points = torch.from_numpy(sparse.points[on_object(chosen, sparse)] if kind == OBJECT else sparse.points)
    if len(points) < FEWEST_POINTS:
        return None
    return region_around(chosen, points, kind)


def region_around(scene: Scene, points: Tensor, kind: str = OBJECT) -> Region | None:
    """The region of one kind around points (P, 3), in their units; None where they are not what the cameras look at."""
    try:
        region = (region_from_points if kind == OBJECT else region_of_all_points)(scene, points)
    except RegionError:
        return None
    return replace(region, found_from=FROM_MATCHES if kind == OBJECT else f"{FROM_ALL}{FROM_MATCHES}")


def _in_region(scene: Scene, region: Region) -> Scene:
    """The scene in the frame whose unit sphere is a region that is given in the scene's present frame."""
    center = transform_points(scene.scene_to_world, region.center)
    nearest = float((scene.camera_to_scene[:, :3, 3] - region.center).norm(dim=-1).min())
    is_object = not region.found_from.startswith(FROM_ALL)
    # Views that were not matched keep out of the sphere, too.
    radius = min(region.radius, NEAREST_CAMERA_FRACTION * nearest) if is_object else region.radius
    frame = similarity(radius * scale_of(scene.scene_to_world), center)
    return replace(scene.in_frame(frame, scene.box), region_from=region.found_from)
