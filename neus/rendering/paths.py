"""Camera paths for videos: through given views, and around the object, level or on a spiral."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation, RotationSpline
from torch import Tensor

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at, pose_between

# Cameras that cover less than this are swung to and fro by default: the rest of the object was never seen.
FULL_COVERAGE_DEGREES = 270.0
# Cameras within this angle of the path's elevation tell which arc is covered; near the pole an azimuth says little.
BAND_DEGREES = 20.0
# Draws what the cameras leave open (one axis, or parallel ones) to the scene's centre, too weakly to move the rest.
CENTER_PULL = 1e-6
# The cameras' horizontal axes give the vertical if they spread in a plane: their least variance, and its fraction.
MIN_SPREAD, MAX_FLATNESS = 0.01, 0.1
# A mean of unit vectors shorter than this says nothing; and images lie on their side if their left sides spread (one minus the
# length of the mean) less than this fraction of what their upper sides do. In level images they never spread less.
LEAST_MEAN_UP, ROLLED_FRACTION = 0.05, 0.5


def between(start: Camera, end: Camera, n_frames: int, there_and_back: bool = True) -> list[Camera]:
    """Cameras on the way from one view to another, slow at both ends, as in NeuS's `interpolate`.

    Frame i is at the ratio sin((i / n - 1/2) pi) / 2 + 1/2: rotation by slerp, centre and intrinsics linearly.

    Args:
        start, end: the two views; frames have the size of `start`.
        n_frames: each way.
        there_and_back: append the same frames in reverse, so that the video can be played in a loop.

    Returns:
        n_frames cameras, or twice as many.
    """
    _check_count(n_frames)
    end = end.resized(start.width, start.height)
    ratios = [math.sin((i / n_frames - 0.5) * math.pi) * 0.5 + 0.5 for i in range(n_frames)]
    frames = [
        replace(
            start,
            intrinsics=torch.lerp(start.intrinsics, end.intrinsics, ratio),
            camera_to_scene=pose_between(start.camera_to_scene, end.camera_to_scene, ratio),
        )
        for ratio in ratios
    ]
    return frames + frames[::-1] if there_and_back else frames


def through(cameras: list[Camera], n_frames: int) -> list[Camera]:
    """Cameras on a smooth way through given views, from the first to the last, slow at both ends.

    Rotations follow a spline, between two views slerp. Centres follow the rotations, as if the camera hung on a rod
    from what it looks at: c = p - d f, with f the forward axis, p its point nearest to the views' common target and d
    the distance of both, p and d along monotone cubics (Fritsch and Carlson 1980). So the object stays in the image,
    and the way from one side to the other leads around it.

    Args:
        cameras: at least two views; frames have the size of the first.
        n_frames: in all, the first and the last view among them.
    """
    _check_count(n_frames)
    if len(cameras) < 2:
        raise InputError(f"camera path: {len(cameras)} views, expected at least two to go from one to another.")
    cameras = [camera.resized(cameras[0].width, cameras[0].height) for camera in cameras]
    target, centers = common_target(cameras), torch.stack([camera.center for camera in cameras])
    forwards = torch.stack([camera.forward for camera in cameras])
    distances = ((target - centers) * forwards).sum(-1).clamp_min(0.0)
    pivots = centers + distances[:, None] * forwards
    rotations = Rotation.from_matrix(np.stack([camera.camera_to_scene[:3, :3].numpy() for camera in cameras]))
    # Equal times for equal ways, and a little for views at the same position.
    ways = (centers[1:] - centers[:-1]).norm(dim=-1).numpy() + 1e-3 * float(distances.max()) + 1e-6
    times = np.concatenate([[0.0], np.cumsum(ways) / ways.sum()])
    progress = 0.5 - 0.5 * np.cos(np.pi * np.arange(n_frames) / max(n_frames - 1, 1))
    turned = torch.from_numpy(RotationSpline(times, rotations)(progress).as_matrix())
    intrinsics = torch.stack([camera.intrinsics for camera in cameras])
    pivots, distances, intrinsics = (
        torch.from_numpy(PchipInterpolator(times, keys.numpy())(progress)) for keys in (pivots, distances, intrinsics)
    )
    poses = torch.eye(4, dtype=torch.float64).repeat(n_frames, 1, 1)
    poses[:, :3, :3] = turned
    poses[:, :3, 3] = pivots - distances[:, None] * turned[:, :, 2]
    return [replace(cameras[0], intrinsics=k, camera_to_scene=pose) for k, pose in zip(intrinsics, poses)]


def orbit(
    cameras: list[Camera],
    n_frames: int,
    arc_only: bool | None = None,
    elevation: float | None = None,
    up: Tensor | None = None,
) -> list[Camera]:
    """Cameras on a circle around the object, like the given ones, looking at what those look at; made to be looped.

    The circle has their median elevation and distance, intrinsics are their median at the size of the first. No frame
    is nearer to the scene's centre than the nearest camera, nor inside the unit sphere, nor, unless an elevation is
    requested, lower than the lowest camera: below may be a table.

    Args:
        cameras: the views of a scene, at least one.
        n_frames: frames of one round.
        arc_only: True swings to and fro over the arc that the cameras cover, False goes all the way round, None
            decides: a swing if they cover less than FULL_COVERAGE_DEGREES, as for DTU, whose cameras see one side.
        elevation: degrees above the horizontal plane through the target, -90 to 90; None is the cameras' median.
        up: (3,) the unit vertical; None is `common_up`.
    """
    _check_count(n_frames)
    ring = _ring_of(cameras, up)
    progress = torch.arange(n_frames, dtype=torch.float64) / n_frames
    asked = ring.elevations.median() if elevation is None else torch.tensor(math.radians(elevation)).double()
    elevations = asked.expand(n_frames)
    return _cameras_on_ring(cameras, ring, ring.azimuths(progress, 1, arc_only), elevations, elevation is None)


def spiral(
    cameras: list[Camera], n_frames: int, turns: int = 3, arc_only: bool | None = None, up: Tensor | None = None
) -> list[Camera]:
    """Cameras that go round the object and meanwhile from the low views' elevation to the high ones' and back.

    Low and high are the tenth and ninetieth percentile of the cameras' elevations; all else is as on an `orbit`.

    Args:
        cameras, n_frames, arc_only, up: as of `orbit`; the video can be looped.
        turns: rounds, or swings to and fro.
    """
    _check_count(n_frames)
    ring = _ring_of(cameras, up)
    progress = torch.arange(n_frames, dtype=torch.float64) / n_frames
    low, high = torch.quantile(ring.elevations, torch.tensor([0.1, 0.9], dtype=torch.float64))
    elevations = low + (high - low) * (0.5 - 0.5 * torch.cos(2 * math.pi * progress))
    return _cameras_on_ring(cameras, ring, ring.azimuths(progress, turns, arc_only), elevations, True)


@dataclass(frozen=True)
class _Ring:
    """Where given cameras are around their look-at point: angles in radians, lengths in scene units.

    Attributes:
        target, up: (3,), the common target and the unit vertical.
        radii, elevations: (V,), distances from the target, and angles above the horizontal plane through it.
        start, arc: where the arc of azimuths that they cover begins, and how long it is.
        nearest, lowest: the least distance from the scene's centre, but not inside the unit sphere, and least height.
    """

    target: Tensor
    up: Tensor
    radii: Tensor
    elevations: Tensor
    start: float
    arc: float
    nearest: Tensor
    lowest: Tensor

    def azimuths(self, progress: Tensor, turns: int, arc_only: bool | None) -> Tensor:
        """(n,) azimuths at `progress` (n,) from 0 to 1: round and round, or to and fro within the arc."""
        if arc_only is None:
            arc_only = math.degrees(self.arc) < FULL_COVERAGE_DEGREES
        angles = 2 * math.pi * turns * progress
        return self.start + (0.5 - 0.5 * torch.cos(angles)) * self.arc if arc_only else self.start + angles


def _ring_of(cameras: list[Camera], up: Tensor | None) -> _Ring:
    if not cameras:
        raise InputError("camera orbit: no cameras given, expected at least one view of the scene.")
    target, up = common_target(cameras), common_up(cameras) if up is None else up
    centers = torch.stack([camera.center for camera in cameras])
    offsets = centers - target
    radii, heights = offsets.norm(dim=-1), offsets @ up
    elevations = torch.asin((heights / radii).clamp(-1.0, 1.0))
    start, arc = _covered_arc(offsets, elevations, up)
    nearest = centers.norm(dim=-1).min().clamp_min(1.0)
    return _Ring(target, up, radii, elevations, start, arc, nearest, heights.min())


def _cameras_on_ring(
    cameras: list[Camera], ring: _Ring, azimuths: Tensor, elevations: Tensor, stays_above: bool
) -> list[Camera]:
    """Cameras in given directions (n,), (n,) from the target, at the median distance or as much further as needed."""
    ahead, aside = _horizontal_axes(ring.up)
    horizontal = torch.cos(azimuths)[:, None] * ahead + torch.sin(azimuths)[:, None] * aside
    radius = ring.radii.median()
    # A greater distance lowers cameras below the horizon, and raising those changes the distance: twice is enough.
    for _ in range(2):
        if stays_above:
            elevations = torch.maximum(elevations, torch.asin((ring.lowest / radius).clamp(-1.0, 1.0)))
        directions = torch.cos(elevations)[:, None] * horizontal + torch.sin(elevations)[:, None] * ring.up
        radius = torch.maximum(radius, _radius_outside(ring.target, directions, ring.nearest))
    first = cameras[0]
    intrinsics = torch.stack([c.resized(first.width, first.height).intrinsics for c in cameras]).median(dim=0).values
    return [
        replace(
            first,
            intrinsics=intrinsics,
            camera_to_scene=look_at(ring.target + radius * direction, ring.target, ring.up),
            turn=0,
        )
        for direction in directions
    ]


def common_target(cameras: list[Camera]) -> Tensor:
    """(3,) the point nearest to all optical axes in the least-squares sense: sum (I - d d^T)(x - c) = 0."""
    pull = CENTER_PULL * len(cameras) * torch.eye(3, dtype=cameras[0].center.dtype)
    normal, right_side = pull, torch.zeros_like(cameras[0].center)
    for camera in cameras:
        across = torch.eye(3).to(pull) - torch.outer(camera.forward, camera.forward)
        normal, right_side = normal + across, right_side + across @ camera.center
    return torch.linalg.solve(normal, right_side)


def common_up(cameras: list[Camera]) -> Tensor:
    """(3,) the unit vertical of a set of views, upwards in most images.

    Images are taken level: whatever their elevation, the images' horizontal axes lie in the horizontal plane, so
    the vertical is the direction in which they vary least. Where they do not say (all from one side, or cameras
    rolled), it is the normal of the plane through the camera centres, if that is near the images' mean up; else
    that mean itself.

    Images are first made upright by `Camera.turn`. A camera held on its side may not have noted so: where the images'
    left sides agree on one direction far better than their upper sides, these are upwards, as of a phone whose
    upright images are stored on their side. Nothing tells such a camera turned left from one turned right.
    """
    rotations = torch.stack([camera.camera_to_scene[:3, :3] for camera in cameras])
    sides = torch.stack([-rotations[:, :, 1], -rotations[:, :, 0], rotations[:, :, 1], rotations[:, :, 0]], dim=1)
    turns = torch.tensor([camera.turn for camera in cameras])
    views = torch.arange(len(cameras))
    ups, lefts = sides[views, turns % 4], sides[views, (turns + 1) % 4]
    spread, spread_aside = (1.0 - side.mean(dim=0).norm() for side in (ups, lefts))
    if spread > MIN_SPREAD and spread_aside < ROLLED_FRACTION * spread:
        ups, lefts = lefts, -ups
    centers = torch.stack([camera.center for camera in cameras])
    mean_up = ups.mean(dim=0)
    if mean_up.norm() < LEAST_MEAN_UP:
        # Seen from above or below with all sides up in turn: cameras stand above what they see more often.
        mean_up = -rotations[:, :, 2].mean(dim=0)
    if mean_up.norm() < LEAST_MEAN_UP:
        mean_up = ups[0]
    mean_up = torch.nn.functional.normalize(mean_up, dim=0)
    for vectors in (lefts, (centers - centers.mean(dim=0)) / centers.std().clamp_min(1e-12)):
        variances, axes = torch.linalg.eigh(vectors.T @ vectors / len(cameras))
        is_flat = variances[1] > MIN_SPREAD and variances[0] < MAX_FLATNESS * variances[1]
        up = axes[:, 0] * torch.sign(axes[:, 0] @ mean_up)
        # 60 degrees: images from steeply above tilt their mean by as much as that, if they see one side only.
        if is_flat and up @ mean_up > 0.5:
            return up
    return mean_up


def _covered_arc(offsets: Tensor, elevations: Tensor, up: Tensor) -> tuple[float, float]:
    """Where the arc of azimuths covered at about the median elevation starts, and how long it is, both in radians."""
    ahead, aside = _horizontal_axes(up)
    offsets = offsets[(elevations - elevations.median()).abs() <= math.radians(BAND_DEGREES)]
    azimuths = torch.atan2(offsets @ aside, offsets @ ahead).sort().values
    gaps = torch.cat([azimuths[1:], azimuths[:1] + 2 * math.pi]) - azimuths
    widest = int(gaps.argmax())
    # The arc is what remains of the circle without the widest gap between neighbours.
    return float(azimuths[(widest + 1) % len(azimuths)]), float(2 * math.pi - gaps[widest])


def _horizontal_axes(up: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors (3,) that with `up` make a right-handed frame."""
    axis = torch.zeros_like(up)
    axis[up.abs().argmin()] = 1.0
    ahead = torch.nn.functional.normalize(torch.linalg.cross(axis, up), dim=0)
    return ahead, torch.linalg.cross(up, ahead)


def _radius_outside(target: Tensor, directions: Tensor, min_sdf: Tensor) -> Tensor:
    """The least radius () about `target` at which all directions (n, 3) are `minimum distance` away from the scene's centre.

    |target + r d| >= minimum distance, solved for the greatest root r of each direction.
    """
    along = directions @ target
    discriminant = along.square() - target.square().sum() + min_sdf.square()
    return (discriminant.clamp_min(0.0).sqrt() - along).max()


def _check_count(n_frames: int) -> None:
    if n_frames < 1:
        raise InputError(f"camera path: {n_frames} frames, expected at least 1; give the video a length.")
