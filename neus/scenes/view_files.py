"""From the files of views to a scene: every reader ends here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.headers import read_header
from neus.scenes.images import read_rgb, read_rgba, stored_pixels
from neus.scenes.lens_models import OPENCV
from neus.scenes.lenses import undistorted
from neus.scenes.masks import MaskCode, mask_code, read_mask
from neus.scenes.pixel_range import white_level
from neus.scenes.scene import Scene


@dataclass(frozen=True)
class ViewFiles:
    """One view before its pixels are read.

    Attributes:
        name: for messages and files.
        image: its file.
        intrinsics: (3, 3) float64 K at the size of the file, pixel centres at +0.5.
        camera_to_world: (4, 4) float64 rigid, x right, y down, z forward.
        model: of its lens, OPENCV or one of `lens_models`.
        coefficients: as OpenCV orders them, k1, k2, p1, p2, k3, k4, k5, k6, empty for none; or those of another model.
    """

    name: str
    image: Path
    intrinsics: Tensor
    camera_to_world: Tensor
    model: str = OPENCV
    coefficients: tuple[float, ...] = ()


def scene_of(
    views: Sequence[ViewFiles],
    masks: Sequence[Path] | None,
    source: Path,
    layout: str,
    background: Sequence[float] | None = None,
    code: MaskCode | None = None,
) -> Scene:
    """The scene of posed images, lens distortion taken out; its frame is the world.

    Args:
        views: V views.
        masks: V mask files, or None; then alpha channels that vary are the masks.
        source, layout: for `Scene.source` and `Scene.format`.
        background: (3,) RGB in [0, 1] laid under images with an alpha channel; None leaves alpha channels out.
        code: what the numbers in the masks mean; None finds out.

    Raises:
        InputError: an image or a mask that cannot be read or has another size than its image; alpha channels in some images only.
    """
    white = white_level([view.image for view in views])
    is_cut_out = background is not None and _is_cut_out(views)
    alpha_is_mask = is_cut_out and masks is None
    if alpha_is_mask:
        _check_all_have_alpha(views, source)
    if masks is not None:
        code = code or mask_code(masks)
    loaded = []
    for index, view in enumerate(views):
        image, alpha = (read_rgb(view.image, white), None) if background is None else read_rgba(view.image, background, white)
        mask = None if masks is None else _checked(read_mask(masks[index], code), masks[index], image)
        layers = np.dstack([image, alpha]) if alpha_is_mask else image
        layers, mask, intrinsics = undistorted(layers, mask, view.intrinsics, view.coefficients, view.model)
        loaded.append((layers, mask, intrinsics))
    alphas = [np.ascontiguousarray(layers[:, :, 3]) for layers, _, _ in loaded] if alpha_is_mask else None
    if masks is not None:
        outlines = [mask for _, mask, _ in loaded]
    else:
        outlines = None if alphas is None else [alpha > 127 for alpha in alphas]
    return Scene(
        images=[np.ascontiguousarray(layers[:, :, :3]) for layers, _, _ in loaded],
        masks=outlines,
        intrinsics=torch.stack([intrinsics for _, _, intrinsics in loaded]),
        camera_to_scene=torch.stack([view.camera_to_world for view in views]),
        scene_to_world=torch.eye(4, dtype=torch.float64),
        names=[view.name for view in views],
        background=torch.tensor(background, dtype=torch.float32) if is_cut_out else None,
        source=source,
        format=layout,
        alphas=alphas,
    )


def _is_cut_out(views: Sequence[ViewFiles]) -> bool:
    """Whether alpha channels tell the object from what surrounds it: any of them is not opaque."""
    return any(read_header(view.image).has_alpha and not _is_opaque(view.image) for view in views)


def _check_all_have_alpha(views: Sequence[ViewFiles], source: Path) -> None:
    if without := [view.name for view in views if not read_header(view.image).has_alpha]:
        raise InputError(
            f"{source}: {len(views) - len(without)} of {len(views)} images have an alpha channel or a mask ({without[0]} has not); "
            "expected all or none. Give the others one, leave them out (dataset.exclude), or add a folder of masks."
        )


def _is_opaque(file: Path) -> bool:
    pixels = stored_pixels(file)
    return bool(pixels[:, :, 3].min() == np.iinfo(pixels.dtype).max) if pixels.dtype.kind == "u" else False


def _checked(mask: np.ndarray, file: Path, image: np.ndarray) -> np.ndarray:
    if mask.shape != image.shape[:2]:
        raise InputError(
            f"{file}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels but its image {image.shape[1]}x{image.shape[0]}; "
            "export the mask at the size of the image."
        )
    return mask
