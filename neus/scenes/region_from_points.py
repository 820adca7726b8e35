"""The region of interest around sparse points: those that the cameras look at, or all of them.

All functions take a scene whose frame is still the world, as those of `region`.
"""

import math

import torch
from torch import Tensor

from neus.errors import RegionError
from neus.geometry.cameras import project
from neus.scenes.region import (
    FROM_ALL,
    FROM_POINTS,
    MARGIN,
    NEAREST_CAMERA_FRACTION,
    Region,
    in_frame,
    narrow_half_angle,
    no_region,
    region_from_axes,
    smallest_ball,
)
from neus.scenes.scene import Scene

# With fewer points nothing is known.
FEWEST_POINTS = 10
# Seen from all around (this angle between two cameras, degrees), what surrounds the object lies behind it in other views: the
# object alone stays within this fraction of the half sides about the middle of the images, in half as many views as the best seen.
ALL_AROUND, MIDDLE, OF_BEST_SEEN = 150.0, 0.9, 0.5
# Points must be in the frame of more and more views, by this step, until the sphere around them keeps clear of the cameras; but not
# so many that fewer than this fraction of the points are left, for those would be a part of the object.
STEP, LEAST_KEPT = 0.06, 0.7
# Axes that meet at more than so many times the depth of what the views show, or at less than one over it, are as good as parallel.
FAR_FROM_SHOWN = 4.0
# Points count within so many times the sphere that fits into the images: images often show objects part by part.
NEAR = 2.5
# Dense clouds of millions of points have the same sphere as so many sampled from them.
MAX_POINTS = 100_000


def region_from_points(scene: Scene, points: Tensor, min_fraction: float = 0.33, trimmed: float = 0.02) -> Region:
    """The sphere around the sparse points that the cameras look at (`points_looked_at`), with a margin.

    Stray points, `trimmed` of them, are left out of the ball. The sphere never ends at a camera while some points can
    be dropped instead, those in the frame of the fewest views first: a sphere that is cut short cuts the object.

    Args:
        points: (P, 3), world units.

    Raises:
        RegionError: fewer than ten points are there.
    """
    near, fractions, least = points_looked_at(scene, points, min_fraction)
    kept, first = near[fractions >= least], None
    fewest = max(FEWEST_POINTS, LEAST_KEPT * len(kept))
    while len(kept) >= fewest:
        center, radius = _ball_of_most(kept, trimmed)
        nearest = float((scene.camera_to_scene[:, :3, 3] - center).norm(dim=-1).min())
        region = Region(center, min(MARGIN * radius, NEAREST_CAMERA_FRACTION * nearest), FROM_POINTS)
        if radius <= region.radius:
            return region
        first, least = first or region, least + STEP
        kept = near[fractions >= least]
    if first is None:
        raise no_region(
            scene,
            f"{len(kept)} of {len(points)} sparse points lie where the cameras look, expected at least "
            f"{FEWEST_POINTS}; give the centre and the radius of the region of interest.",
        )
    return first


def region_of_all_points(scene: Scene, points: Tensor, trimmed: float = 0.02) -> Region:
    """The sphere around all sparse points that views have in their frame, with a margin: the whole scene.

    The cameras may be inside. The farthest points, `trimmed` of them, are left out.

    Args:
        points: (P, 3), world units.

    Raises:
        RegionError: fewer than ten points are in a frame.
    """
    points = _sampled(points)
    kept = points[_fraction_in_frame(scene, points) > 0.0]
    if len(kept) < FEWEST_POINTS:
        raise no_region(
            scene,
            f"{len(kept)} of {len(points)} sparse points lie in the frame of any view, expected at least "
            f"{FEWEST_POINTS}; give the centre and the radius of the region of interest.",
        )
    center, radius = _ball_of_most(kept, trimmed)
    return Region(center, MARGIN * radius, f"{FROM_ALL}{FROM_POINTS}")


def points_looked_at(scene: Scene, points: Tensor, min_fraction: float = 0.33) -> tuple[Tensor, Tensor, float]:
    """Points near to where the cameras look, the fraction of the views that show each, and the least fraction of the object's.

    Points of the background pass through few images. Where views come from all around, only their middles count, as the
    table that an object stands on fills the images up to their borders. Where the axes are (nearly) parallel the
    views show a front, each a part of it: two views are enough for a point then.

    Args:
        points: (P, 3), world units.

    Returns:
        (Q, 3) points, (Q,) fractions, and the fraction from which on a point is one of the object.
    """
    points = _sampled(points)
    try:
        looked_at, is_front = region_from_axes(scene), False
    except RegionError:
        is_front = True
    if is_front or not _shown_at(scene, points, looked_at.center):
        looked_at, min_fraction = _region_shown(scene, points), 2.0 / len(scene)
    near = points[(points - looked_at.center).norm(dim=-1) < NEAR * looked_at.radius]
    toward = torch.nn.functional.normalize(scene.camera_to_scene[:, :3, 3] - looked_at.center, dim=-1)
    is_around = float((toward @ toward.T).min()) < math.cos(math.radians(ALL_AROUND))
    if not is_around or len(near) == 0:
        return near, _fraction_in_frame(scene, near), min_fraction
    fractions = _fraction_in_frame(scene, near, MIDDLE)
    return near, fractions, OF_BEST_SEEN * float(fractions.quantile(0.95))


def _sampled(points: Tensor) -> Tensor:
    if len(points) <= MAX_POINTS:
        return points
    return points[torch.randint(len(points), (MAX_POINTS,), generator=torch.Generator().manual_seed(0))]


def _ball_of_most(points: Tensor, trimmed: float) -> tuple[Tensor, float]:
    """Centre and radius of the ball around all but the outermost points."""
    from_middle = (points - points.median(dim=0).values).norm(dim=-1)
    center, radius = smallest_ball(points[from_middle <= from_middle.quantile(1.0 - trimmed)])
    return center, radius


def _fraction_in_frame(scene: Scene, points: Tensor, middle: float | None = None) -> Tensor:
    """(P,) the fraction of the views in whose image the points fall; or in the ellipse of `middle` times its half sides."""
    n_visible = torch.zeros(len(points), dtype=points.dtype)
    for view in range(len(scene)):
        camera = scene.camera(view)
        pixels, depth = project(points, camera)
        if middle is None:
            n_visible += in_frame(pixels, depth, camera)
        else:
            half = torch.tensor([camera.width, camera.height], dtype=points.dtype) / 2
            n_visible += (depth > 0) & (((pixels - half) / half).norm(dim=-1) < middle)
    return n_visible / len(scene)


def _depths_shown(scene: Scene, points: Tensor) -> tuple[list[int], Tensor]:
    """The views with points in their frame, and (V,) the median depth of these."""
    views, depths = [], []
    for view in range(len(scene)):
        camera = scene.camera(view)
        pixels, depth = project(points, camera)
        if (shown := in_frame(pixels, depth, camera)).any():
            views.append(view)
            depths.append(depth[shown].median())
    return views, torch.stack(depths) if depths else torch.zeros(0, dtype=points.dtype)


def _shown_at(scene: Scene, points: Tensor, center: Tensor) -> bool:
    """Whether the views show points about as far away as a point: the axes meet there because they look at it."""
    views, depths = _depths_shown(scene, points)
    if not views:
        return True  # nothing contradicts it
    poses = scene.camera_to_scene[views]
    ratio = float((((center - poses[:, :3, 3]) * poses[:, :3, 2]).sum(-1) / depths).median())
    return 1.0 / FAR_FROM_SHOWN < ratio < FAR_FROM_SHOWN


def _region_shown(scene: Scene, points: Tensor) -> Region:
    """The sphere around the middles of all images at the depth of what they show, as much larger as one of them reaches."""
    views, depths = _depths_shown(scene, points)
    if not views:
        raise no_region(
            scene,
            "no sparse point lies in the frame of any view; give the centre and the radius of the region of interest.",
        )
    poses = scene.camera_to_scene[views]
    middles = poses[:, :3, 3] + depths[:, None] * poses[:, :3, 2]
    center = middles.median(dim=0).values
    half_angles = torch.stack([narrow_half_angle(scene.camera(view)) for view in views])
    return Region(center, float((middles - center).norm(dim=-1).max() + (depths * half_angles.tan()).median()))
