"""A scene from arrays of the caller's."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.region import placed, region_from_axes
from neus.scenes.region_from_masks import region_from_masks
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked


def scene_from_arrays(
    images: Sequence[np.ndarray],
    intrinsics: Tensor | np.ndarray,
    camera_to_world: Tensor | np.ndarray,
    masks: Sequence[np.ndarray] | None = None,
    region: tuple[Sequence[float], float] | None = None,
    names: Sequence[str] | None = None,
) -> Scene:
    """A scene of arrays in memory, which are not copied.

    Args:
        images: V arrays (H, W, 3) uint8 RGB, without lens distortion; sizes may differ.
        intrinsics: (V, 3, 3) or (3, 3) K, pixel centres at +0.5.
        camera_to_world: (V, 4, 4) rigid, x right, y down, z forward.
        masks: V arrays (H, W) bool, True on the object, or uint8 with 255 there.
        region: centre (3,) and radius of the sphere that holds the object, world units; None finds it, from the masks if there are.
        names: V names; None numbers the views.

    Raises:
        InputError: arrays of other shapes or types, no region, and what `scene_checks.checked` finds.
    """
    images = [_image(image, view) for view, image in enumerate(images)]
    n = len(images)
    intrinsics, poses = (torch.as_tensor(np.asarray(m), dtype=torch.float64) for m in (intrinsics, camera_to_world))
    if intrinsics.shape == (3, 3):
        intrinsics = intrinsics.repeat(n, 1, 1)
    for what, matrices, shape in (("intrinsics", intrinsics, (3, 3)), ("camera_to_world", poses, (4, 4))):
        if matrices.shape[1:] != shape:
            raise InputError(
                f"{what}: shape {tuple(matrices.shape)}, expected one {shape[0]}x{shape[1]} matrix for each of {n} images."
            )
    scene = Scene(
        images=images,
        masks=None if masks is None else [_mask(mask, view) for view, mask in enumerate(masks)],
        intrinsics=intrinsics,
        camera_to_scene=poses,
        scene_to_world=torch.eye(4, dtype=torch.float64),
        names=list(names) if names is not None else [f"{view:03d}.png" for view in range(n)],
        format="arrays",
    )
    find = region_from_axes if masks is None else region_from_masks
    return checked(placed(scene, *(region or (None, None)), find))


def _image(image: np.ndarray, view: int) -> np.ndarray:
    image = np.asarray(image)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"image {view}: shape {image.shape} of {image.dtype}, expected (height, width, 3) of uint8 in RGB; "
            "multiply floating-point colours by 255 and convert them."
        )
    return image


def _mask(mask: np.ndarray, view: int) -> np.ndarray:
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype not in (bool, np.uint8):
        raise InputError(
            f"mask {view}: shape {mask.shape} of {mask.dtype}, expected (height, width) of bool, or of uint8 with 255 on the object."
        )
    return mask if mask.dtype == bool else mask > 127
