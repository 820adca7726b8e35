"""Batches of rays drawn from all views at once, in small patches of neighbouring pixels.

Rays of one patch pass through the same points of the field, so they read the same memory: with a hash grid a batch of patches
is read from the CPU's cache where a batch of scattered rays is not.
"""

from collections.abc import Iterable

import cv2
import numpy as np
import torch
from torch import Generator, Tensor

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.scenes.pixel_store import packed_store
from neus.scenes.scene import Scene
from neus.training.pixels import RayBatch

# `near_pixels` is meant for images of this many pixels along their longer side, and scales with others.
REFERENCE_SIDE = 800
# Colours nearer than this are the same level of 8 bits.
HALF_LEVEL = 0.5 / 255.0


class PatchSampler:
    """Draws training rays where they are most informative: on the object, close around it, and in the sphere that holds it.

    A patch is laid about an anchor, a pixel drawn uniformly from one of three kinds: those within the masks of all views,
    those in a ring around the masks, and those whose rays meet the unit sphere. The anchor's position within its patch is
    drawn too, so that no side of it is preferred; at the borders of an image patches move inwards. A kind without
    any pixel leaves its fraction to the others, in proportion. Without masks all pixels of all views are alike. Where images have
    an alpha channel the masks of rays are it: on outlines a pixel shows object and background.

    Colours are those of the images, or of the common exposure once `level` was called; the only other state is the generator's.
    Memory: 16 bytes for each row of pixels of a kind; pixels that lie packed in memory, as readers leave them, are shared with the
    scene, others take 4 bytes each.

    Args:
        scene: images of any sizes.
        patch: pixels along the side of a patch; 1 for scattered rays.
        inside_fraction: of the patches, anchored within the masks.
        near_fraction: of the patches, anchored in the ring; the rest is anchored in the sphere.
        near_pixels: width of the ring in an image of 800 pixels; in proportion in others, at least one.

    Raises:
        InputError: a patch or ring below one pixel, or fractions outside of [0, 1].
    """

    def __init__(
        self,
        scene: Scene,
        patch: int = 4,
        inside_fraction: float = 0.8,
        near_fraction: float = 0.1,
        near_pixels: int = 20,
    ) -> None:
        if min(patch, near_pixels) < 1:
            raise InputError(
                f"ray patches of {patch} pixels with a ring of {near_pixels}; expected at least 1 of each."
            )
        if min(inside_fraction, near_fraction) < 0.0 or inside_fraction + near_fraction > 1.0:
            raise InputError(
                f"fraction of rays inside the masks {inside_fraction}, near them {near_fraction}; "
                "expected both at least 0 and together at most 1."
            )
        self.has_masks = scene.masks is not None
        self._steps = torch.arange(patch)
        self._widths, self._heights = torch.tensor(scene.sizes).unbind(-1)
        self._view_starts = torch.tensor([0, *(width * height for width, height in scene.sizes)]).cumsum(0)
        store, views = packed_store(scene.images, scene.masks, scene.alphas)
        # One number for each pixel, so that one read fetches its colour and mask.
        self._pixels = torch.from_numpy(store.packed).view(torch.int32).squeeze(-1)
        self._pixel_starts = torch.from_numpy(store.starts[views])
        self._full = 255.0 if store.has_alphas else 1.0
        self._gains: Tensor | None = None
        self._offsets: Tensor | None = None
        self._fill = None if scene.background is None else scene.background.float()
        # float64, and rounded at the very end: rays of large images stay right to float32's last digits.
        self._pixels_to_scene = scene.camera_to_scene[:, :3, :3] @ torch.linalg.inv(scene.intrinsics)
        self._centers = scene.camera_to_scene[:, :3, 3].float()
        kinds, fractions = [_all_pixels(scene)], [1.0]
        if self.has_masks:
            priors = [_inside(scene), _ring(scene, near_pixels), _within_sphere(scene)]
            wanted = [inside_fraction, near_fraction, 1.0 - inside_fraction - near_fraction]
            usable = [(k, s) for k, s in zip(priors, wanted, strict=True) if len(k) > 0 and s > 0.0]
            if usable:
                kinds, fractions = zip(*usable, strict=True)
        runs = torch.cat(list(kinds))
        self._run_starts, lengths = runs.unbind(-1)
        self._ranks = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])  # of the first pixel of each run
        kind_ends = torch.tensor([len(kind) for kind in kinds]).cumsum(0)
        self._kind_ranks = self._ranks[torch.cat([kind_ends.new_zeros(1), kind_ends])]
        self._fraction_ends = (torch.tensor(fractions, dtype=torch.float64) / sum(fractions)).cumsum(0)[:-1]

    def to(self, device: torch.device) -> "PatchSampler":
        """This sampler, its pixels and cameras on a device, where it draws from then on: with a generator of that device."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def level(self, gains: Tensor, offsets: Tensor) -> None:
        """From now on colours are (color - offset) / gain, within [0, 1], with gains and offsets (V, 3) of each view.

        Pixels of the colour that fills the images behind the object have no exposure; they stay.
        """
        self._gains, self._offsets = (part.float().to(self._steps.device) for part in (gains, offsets))

    def draw(self, n_rays: int, generator: Generator) -> RayBatch:
        """`n_rays` rays on the sampler's device, float32, patch by patch and row by row; the last patch is cut where they end."""
        n_patches = -(-n_rays // len(self._steps) ** 2)
        view, y, x = self._corners(n_patches, generator)
        # Images smaller than a patch repeat their last row or column.
        x = torch.minimum(x.unsqueeze(-1) + self._steps, (self._widths[view] - 1).unsqueeze(-1))
        y = torch.minimum(y.unsqueeze(-1) + self._steps, (self._heights[view] - 1).unsqueeze(-1))
        rows = self._pixel_starts[view].unsqueeze(-1) + y * self._widths[view].unsqueeze(-1)
        indices = (rows.unsqueeze(-1) + x.unsqueeze(-2)).reshape(-1)[:n_rays]
        bytes_of = self._pixels[indices].view(torch.uint8).view(-1, 4)
        directions = self._directions(view, y, x).reshape(-1, 3)[:n_rays]
        origins = self._centers[view].repeat_interleave(len(self._steps) ** 2, dim=0)[:n_rays]
        masks = bytes_of[:, 3].float() / self._full if self.has_masks else None
        colors = bytes_of[:, :3].float() / 255.0
        if self._gains is not None:
            colors = self._leveled(colors, view.repeat_interleave(len(self._steps) ** 2)[:n_rays])
        return RayBatch(origins, directions, colors, masks)

    def _leveled(self, colors: Tensor, view: Tensor) -> Tensor:
        """Colours (N, 3) of the views (N,) in the common exposure."""
        leveled = ((colors - self._offsets[view]) / self._gains[view]).clamp(0.0, 1.0)
        if self._fill is None:
            return leveled
        is_fill = ((colors - self._fill).abs() < HALF_LEVEL).all(dim=-1, keepdim=True)
        return torch.where(is_fill, colors, leveled)

    def _corners(self, n_patches: int, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """View, y and x (n_patches,) of the first pixel of each patch."""
        device = self._steps.device
        kind, place = torch.rand(2, n_patches, dtype=torch.float64, generator=generator, device=device)
        shift_y, shift_x = torch.randint(len(self._steps), (2, n_patches), generator=generator, device=device)
        kind = torch.bucketize(kind, self._fraction_ends, right=True)
        first, last = self._kind_ranks[kind], self._kind_ranks[kind + 1]
        rank = first + (place * (last - first)).long()
        run = torch.bucketize(rank, self._ranks, right=True) - 1
        anchor = self._run_starts[run] + rank - self._ranks[run]
        view = torch.bucketize(anchor, self._view_starts, right=True) - 1
        width, anchor = self._widths[view], anchor - self._view_starts[view]
        y = torch.minimum(anchor // width - shift_y, self._heights[view] - len(self._steps)).clamp_min(0)
        x = torch.minimum(anchor % width - shift_x, width - len(self._steps)).clamp_min(0)
        return view, y, x

    def _directions(self, view: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """(P, patch, patch, 3) float32 unit directions through pixels of rows y and columns x, (P, patch) each.

        The matrix of `rays_from_pixels` is linear in x and y, so rows and columns are turned apart and then added.
        """
        along_x, along_y, constant = self._pixels_to_scene[view].unsqueeze(-3).unbind(-1)  # (P, 1, 3) each
        columns = (x.unsqueeze(-1) + 0.5) * along_x
        rows = (y.unsqueeze(-1) + 0.5) * along_y + constant
        directions = rows.unsqueeze(-2) + columns.unsqueeze(-3)
        return (directions / torch.linalg.vector_norm(directions, dim=-1, keepdim=True)).float()


def _all_pixels(scene: Scene) -> Tensor:
    return _runs(np.ones((height, width), bool) for width, height in scene.sizes)


def _inside(scene: Scene) -> Tensor:
    return _runs(scene.masks)


def _ring(scene: Scene, near_pixels: int) -> Tensor:
    return _runs(_around(mask, max(1.0, near_pixels * max(mask.shape) / REFERENCE_SIDE)) for mask in scene.masks)


def _around(mask: np.ndarray, reach: float) -> np.ndarray:
    """(H, W) bool: pixels outside a mask (H, W) but no further than `reach` pixels from it."""
    if not mask.any():
        return np.zeros_like(mask)
    distance = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return ~mask & (distance <= reach)


def _within_sphere(scene: Scene) -> Tensor:
    return _runs(_meets_sphere(scene.camera(view)) for view in range(len(scene)))


def _meets_sphere(camera: Camera) -> np.ndarray:
    """(H, W) bool: whether `intersect_sphere` finds a pixel's ray to meet the unit sphere.

    Without square roots, for whole images: a ray o + t d, d = A (x, y, 1), meets it if (o.d)^2 > (o.o - 1) d.d, a
    quadratic form in the pixel, and if it heads for the centre, -o.d > 0. All rays do from within.
    """
    if camera.center.norm() < 1.0:
        return np.ones((camera.height, camera.width), bool)
    center = camera.center.numpy()
    to_scene = (camera.camera_to_scene[:3, :3] @ torch.linalg.inv(camera.intrinsics)).numpy()
    form = to_scene.T @ (np.outer(center, center) - (center @ center - 1.0) * np.eye(3)) @ to_scene
    toward = -center @ to_scene
    x, y = np.arange(camera.width) + 0.5, (np.arange(camera.height) + 0.5)[:, None]
    of_column = (form[0, 0] * x + 2.0 * form[0, 2]) * x + form[2, 2]
    of_row = (form[1, 1] * y + 2.0 * form[1, 2]) * y
    return (of_column + of_row + 2.0 * form[0, 1] * x * y > 0.0) & (toward[0] * x + toward[1] * y + toward[2] > 0.0)


def _runs(chosen: Iterable[np.ndarray]) -> Tensor:
    """(R, 2) int64: start and length of the runs of True in the masks (H, W) of all views, laid end to end."""
    runs, start = [torch.empty(0, 2, dtype=torch.int64)], 0
    for mask in chosen:
        flat = np.concatenate([[False], mask.reshape(-1), [False]])
        begins, ends = np.flatnonzero(flat[1:] != flat[:-1]).reshape(-1, 2).T
        runs.append(torch.from_numpy(np.stack([start + begins, ends - begins], axis=-1)))
        start += mask.size
    return torch.cat(runs)
