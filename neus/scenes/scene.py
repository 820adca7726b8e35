"""A scene: posed images, masks, and the way from its frame to the world."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.geometry.poses import invert
from neus.geometry.similarity import transform_poses
from neus.rendering.paths import common_up
from neus.scenes.downscale import downscaled_size, resized_intrinsics, resized_pixels
from neus.scenes.pixel_store import Layer, Size, packed_pixels, selected, size_at
from neus.scenes.tracked_points import TrackedPoints

# NeuS extracts its mesh in a box slightly larger than the unit sphere.
BOX_HALF_SIDE = 1.01


@dataclass(frozen=True)
class Scene:
    """Posed images of one object, which lies inside the unit sphere of the scene frame.

    Images, masks and alphas are lists of arrays, or read when they are indexed (`pixel_store.Layer`); everything else, sizes and
    cameras too, is known without a pixel being read.

    Attributes:
        images: V arrays (H, W, 3) uint8 RGB; sizes may differ.
        masks: V arrays (H, W) bool, True on the object, or None.
        intrinsics: (V, 3, 3) float64, pixel centres at +0.5.
        camera_to_scene: (V, 4, 4) float64, x right, y down, z forward.
        scene_to_world: (4, 4) float64 similarity; world is the data set's own unit (millimetres for DTU).
        names: V names, for messages and files.
        box: (2, 3) float64, the corners in scene units within which the mesh is extracted.
        background: (3,) RGB in [0, 1] that fills the images behind the object, or None where it is real.
        source: the folder the scene was read from.
        format: the name of the reader.
        alphas: V arrays (H, W) uint8 where the images tell how much of each pixel the object covers, 255 for all of it; or None.
        turns: V clockwise quarter turns by which images are shown upright (`Camera.turn`), noted in their files; empty for none.
        downscale: how many times as large the files of the images are.
        region_from: what the unit sphere was found from, in words; empty where it was given.
        points: sparse points of the files, in the world whatever the scene's frame, or None.
        up: (3,) the direction upwards in the world where the files define it, or None.
        metres: how many metres one unit of the world is where the files define it, or None.
    """

    images: Sequence[np.ndarray]
    masks: Sequence[np.ndarray] | None
    intrinsics: Tensor
    camera_to_scene: Tensor
    scene_to_world: Tensor
    names: list[str]
    box: Tensor = field(
        default_factory=lambda: BOX_HALF_SIDE * torch.tensor([[-1.0] * 3, [1.0] * 3], dtype=torch.float64)
    )
    background: Tensor | None = None
    source: Path = Path()
    format: str = ""
    alphas: Sequence[np.ndarray] | None = None
    turns: tuple[int, ...] = ()
    downscale: float = 1.0
    region_from: str = ""
    points: TrackedPoints | None = None
    up: tuple[float, float, float] | None = None
    metres: float | None = None

    def __len__(self) -> int:
        return len(self.images)

    def camera(self, view: int) -> Camera:
        """The camera of one view."""
        turn = self.turns[view] if self.turns else 0
        return Camera(self.intrinsics[view], self.camera_to_scene[view], *size_at(self.images, view), turn)

    @property
    def sizes(self) -> list[Size]:
        """V (width, height) in pixels."""
        return [size_at(self.images, view) for view in range(len(self))]

    def vertical(self) -> Tensor:
        """(3,) float64 the unit vertical in the scene frame: that of the files, else that of level cameras (`common_up`)."""
        if self.up is None:
            return common_up([self.camera(view) for view in range(len(self))])
        up = torch.tensor(self.up, dtype=torch.float64)
        return torch.nn.functional.normalize(self.scene_to_world[:3, :3].T.double() @ up, dim=0)

    def image(self, view: int) -> Tensor:
        """(H, W, 3) float32 RGB in [0, 1] of one view."""
        return torch.from_numpy(self.images[view]).float() / 255.0

    def mask(self, view: int) -> Tensor | None:
        """(H, W) bool mask of one view, or None."""
        return None if self.masks is None else torch.from_numpy(self.masks[view])

    def in_frame(self, scene_to_world: Tensor, box: Tensor) -> "Scene":
        """The same cameras in the world, seen from another scene frame: that of a model, say.

        Args:
            scene_to_world: (4, 4) float64 similarity of that frame.
            box: (2, 3) float64, in its units.
        """
        if torch.equal(scene_to_world, self.scene_to_world):
            return replace(self, box=box)
        to_frame = invert(scene_to_world) @ self.scene_to_world
        poses = transform_poses(to_frame, self.camera_to_scene)
        return replace(self, camera_to_scene=poses, scene_to_world=scene_to_world, box=box)

    def subset(self, views: list[int]) -> "Scene":
        """The same scene with only some of its views."""
        return replace(
            self,
            images=selected(self.images, views),
            masks=None if self.masks is None else selected(self.masks, views),
            alphas=None if self.alphas is None else selected(self.alphas, views),
            intrinsics=self.intrinsics[views],
            camera_to_scene=self.camera_to_scene[views],
            turns=tuple(self.turns[view] for view in views) if self.turns else (),
            names=[self.names[v] for v in views],
            points=None if self.points is None else self.points.subset(views),
        )

    def resized(self, factor: float) -> "Scene":
        """The scene with images and masks at a part of their size, averaged over areas, and cameras to match.

        Args:
            factor: above 0 and at most 1, such as 0.5 for half the width and height; both are rounded.

        Raises:
            InputError: another factor.
        """
        if not 0.0 < factor <= 1.0:
            raise InputError(f"resized by {factor:g}: expected above 0 and at most 1, such as 0.5 for half the size.")
        sizes = [downscaled_size(size, 1.0 / factor) for size in self.sizes]
        layers = self.images, self.masks, self.alphas

        def read(view: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
            return tuple(None if layer is None else resized_pixels(layer[view], sizes[view]) for layer in layers)

        store = packed_pixels(sizes, read, self.masks is not None, self.alphas is not None)
        intrinsics = [resized_intrinsics(k, *both) for k, *both in zip(self.intrinsics, self.sizes, sizes, strict=True)]
        return replace(
            self,
            images=Layer(store, "image"),
            masks=None if self.masks is None else Layer(store, "mask"),
            alphas=None if self.alphas is None else Layer(store, "alpha"),
            intrinsics=torch.stack(intrinsics),
            downscale=self.downscale / factor,
        )


def split_views(n_views: int, holdout: int) -> tuple[list[int], list[int]]:
    """Training views and held-out views: every `holdout`-th view, beginning with the first, is kept out; 0 keeps none.

    >>> split_views(5, 2)
    ([1, 3], [0, 2, 4])
    """
    if holdout < 0:
        raise InputError(f"--holdout {holdout}: expected 0 (none) or K > 1 to keep every K-th view out of training.")
    held_out = list(range(0, n_views, holdout)) if holdout else []
    training = [v for v in range(n_views) if v not in set(held_out)]
    if not training:
        raise InputError(f"--holdout {holdout} keeps out all {n_views} views; use a larger number, or 0 for none.")
    return training, held_out


def check_views(views: Sequence[int], n_views: int) -> None:
    """InputError if a number is not one of the scene's views."""
    if wrong := [view for view in views if not 0 <= view < n_views]:
        raise InputError(f"view {wrong[0]}: the scene has views 0 to {n_views - 1}; choose one of them.")
