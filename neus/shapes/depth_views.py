"""One depth map as evidence: surface points with normals, and free space along every ray."""

import json
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neus.errors import InputError
from neus.files import read_text
from neus.geometry.cameras import Camera
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.geometry.rigid import rigid_poses
from neus.shapes.levenberg import CODE_WEIGHT
from neus.shapes.observations import ETA, Observations

# Free-space points on each ray, also on those that miss.
FREE_PER_RAY = 2
# Normals come from planes fitted to so many pixels around, more with noise, until the window is this often as wide as the noise.
WINDOW, WIDTHS_OF_NOISE, WIDEST_WINDOW = 1, 2.5, 6
# Neighbours farther than this many window widths along the ray belong to another surface.
JUMP = 2.0
# Surface seen at a flatter angle than this cosine has no normal to trust.
FLATTEST = 0.1
# Points in front of the surface are free from so many deviations of the noise on.
FREE_MARGIN = 3.0
# Weight of the code under noise sigma: the exact one plus this times sigma^2. See docs/shapes.md, `experiment noise`.
NOISE_WEIGHT = 2.0


class DepthView(NamedTuple):
    """A depth map and its camera in the prior's frame (or in any similar one, if the pose is fitted).

    Attributes:
        depth: (H, W) along the camera's z; 0, NaN or infinite where the ray met nothing.
        camera: of it.
        normals: (H, W, 3) outward, in the camera's world; None: estimated from the depth.
    """

    depth: NDArray
    camera: Camera
    normals: NDArray | None = None

    @property
    def seen(self) -> NDArray:
        """(H, W) bool: where there is surface."""
        return np.isfinite(self.depth) & (self.depth > 0.0)

    def rays(self) -> tuple[Tensor, Tensor]:
        """Origins and unit directions (H W, 3) of all pixels, float64."""
        pixels = pixel_centers(self.camera.width, self.camera.height).reshape(-1, 2)
        return rays_from_pixels(pixels, self.camera.intrinsics.double(), self.camera.camera_to_scene.double())

    def points(self) -> NDArray:
        """(H, W, 3) surface points; NaN where there is none."""
        origins, directions = self.rays()
        along = directions @ self.camera.forward.double()
        t = torch.from_numpy(np.where(self.seen, self.depth, np.nan).reshape(-1)) / along
        return (origins + t.unsqueeze(1) * directions).numpy().reshape(*self.depth.shape, 3)


def code_weight(noise: float) -> float:
    """lambda for depth with noise of deviation sigma along the ray: the noisier, the more the family is trusted."""
    return CODE_WEIGHT + NOISE_WEIGHT * noise**2


def read_depth_view(depth: Path, camera: Path) -> DepthView:
    """A depth map from .npy (H, W), and its camera from JSON: `intrinsics` (3, 3), `camera_to_world` (4, 4), OpenCV axes.

    Raises:
        InputError: missing, damaged, or of another kind.
    """
    try:
        values = np.asarray(np.load(depth, allow_pickle=False), np.float64)
    except Exception as error:
        raise InputError(f"{depth}: no readable depth map ({str(error)[:80]}); expected .npy, (H, W).") from error
    if values.ndim != 2:
        raise InputError(f"{depth}: has shape {values.shape}, expected (H, W): depth along the camera's z, 0 where nothing is seen.")
    try:
        content = json.loads(read_text(camera))
        intrinsics, pose = (torch.tensor(content[key], dtype=torch.float64) for key in ("intrinsics", "camera_to_world"))
        if intrinsics.shape != (3, 3) or pose.shape != (4, 4):
            raise ValueError(f"shapes {tuple(intrinsics.shape)} and {tuple(pose.shape)}")
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{camera}: no camera ({error}); expected JSON with intrinsics (3 x 3) and camera_to_world (4 x 4).") from error
    pose = rigid_poses(pose[None], ["camera_to_world"], str(camera))[0]
    view = DepthView(values, Camera(intrinsics, pose, values.shape[1], values.shape[0]))
    if not view.seen.any():
        raise InputError(f"{depth}: no pixel has a depth above 0, expected some surface.")
    return view


def depth_observations(
    view: DepthView, eta: float = ETA, noise: float = 0.0, seed: int = 0, free_radius: float | None = 1.0
) -> Observations:
    """Distances +-eta beside every seen point along its normal, and free points between camera and surface.

    Args:
        view: what was seen.
        eta: distance of the evidence from the surface.
        noise: deviation of the depth along the ray: widens the windows of normals, and keeps free points away from the surface.
        seed: of the free points.
        free_radius: free points lie in this ball about the origin, where decoders are trained; None: rays that miss, and the stretch
            before the ball, are unknown (pose to be fitted): free points lie within twice the seen extent before the surface.

    Raises:
        InputError: nothing is left to go by.
    """
    points = view.points()
    normals = view.normals if view.normals is not None else estimated_normals(view, points, noise)
    is_good = view.seen & np.isfinite(normals).all(axis=-1)
    if not is_good.any():
        raise InputError("depth map: no pixel has neighbours on the same surface, so no normal; expected a denser map.")
    p, n = points[is_good], normals[is_good]
    both = np.concatenate([p + eta * n, p - eta * n])
    distances = np.concatenate([np.full(len(p), eta), np.full(len(p), -eta)])
    free = free_points(view, noise, seed, free_radius)
    return Observations(*(torch.from_numpy(x.astype(np.float32)) for x in (both, distances, free)))


def estimated_normals(view: DepthView, points: NDArray, noise: float) -> NDArray:
    """(H, W, 3) unit normals towards the camera, by planes through the points around; NaN where there are too few."""
    spacing = pixel_size(view)
    half = int(min(WIDEST_WINDOW, max(WINDOW, math.ceil(WIDTHS_OF_NOISE * noise / spacing / 2.0))))
    height, width = view.depth.shape
    padded = np.pad(points, ((half, half), (half, half), (0, 0)), constant_values=np.nan)
    around = np.stack([padded[i : i + height, j : j + width] for i in range(2 * half + 1) for j in range(2 * half + 1)], axis=2)
    offsets = around - points[:, :, None]
    reach = JUMP * (half + 0.5) * spacing + FREE_MARGIN * noise
    is_near = np.isfinite(offsets).all(axis=-1) & (np.linalg.norm(np.nan_to_num(offsets), axis=-1) < reach)
    counts = is_near.sum(axis=-1)
    offsets = np.where(is_near[..., None], np.nan_to_num(offsets), 0.0)
    centered = np.where(is_near[..., None], offsets - (offsets.sum(axis=2) / np.maximum(counts, 1)[..., None])[:, :, None], 0.0)
    _, vectors = np.linalg.eigh(np.einsum("hwki,hwkj->hwij", centered, centered))
    normals = vectors[..., 0]
    toward = view.camera.center.double().numpy() - points
    toward = toward / np.maximum(np.linalg.norm(toward, axis=-1, keepdims=True), 1e-12)
    cosines = (normals * toward).sum(axis=-1)
    normals = normals * np.where(cosines < 0.0, -1.0, 1.0)[..., None]
    normals[(counts < 4) | ~(np.abs(cosines) > FLATTEST)] = np.nan
    return normals


def pixel_size(view: DepthView) -> float:
    """Scene units that a pixel covers at the median depth."""
    return float(np.median(view.depth[view.seen])) / float(view.camera.intrinsics[0, 0])


def free_points(view: DepthView, noise: float, seed: int, radius: float | None) -> NDArray:
    """(m, 3) uniform on each ray from where it enters the ball to the surface, less a margin for noise; to the far side where it misses."""
    origins, directions = view.rays()
    t_surface = torch.from_numpy(np.where(view.seen, view.depth, np.inf).reshape(-1)) / (directions @ view.camera.forward.double())
    if radius is not None:
        enters, leaves, hits = intersect_sphere(origins, directions, radius)
    else:
        extent = float(np.ptp(view.points()[view.seen], axis=0).max())
        hits = t_surface.isfinite()
        enters, leaves = (t_surface - 2.0 * extent).clamp_min(0.0), t_surface
    ends = torch.minimum(leaves, t_surface - FREE_MARGIN * noise)
    usable = hits & (ends > enters)
    generator = torch.Generator().manual_seed(seed)
    fractions = torch.rand(len(origins), FREE_PER_RAY, generator=generator, dtype=torch.float64)
    t = enters[:, None] + fractions * (ends - enters)[:, None]
    return (origins[:, None] + t[..., None] * directions[:, None])[usable].reshape(-1, 3).numpy()


def with_noise(view: DepthView, sigma: float, seed: int) -> DepthView:
    """The view with Gaussian noise of deviation sigma along each ray; its normals are forgotten.

    A ray's distance changes by sigma, its depth by sigma times the cosine to the camera's axis.
    """
    _, directions = view.rays()
    cosines = (directions @ view.camera.forward.double()).numpy().reshape(view.depth.shape)
    moved = view.depth + sigma * cosines * np.random.default_rng(seed).standard_normal(view.depth.shape)
    return DepthView(np.where(view.seen, moved, view.depth), view.camera)
