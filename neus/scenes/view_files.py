"""From the files of views to a scene: every reader ends here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.downscale import (
    AUTO,
    downscale_factor,
    downscaled_size,
    jpeg_reduction,
    resized_intrinsics,
    resized_pixels,
)
from neus.scenes.headers import read_header
from neus.scenes.images import read_rgb, read_rgba, stored_pixels
from neus.scenes.lens_models import OPENCV
from neus.scenes.lenses import is_pinhole, pinhole_intrinsics, undistorted
from neus.scenes.masks import MaskCode, mask_code, read_mask
from neus.scenes.memory import check_memory
from neus.scenes.pixel_range import white_level
from neus.scenes.pixel_store import Layer, packed_pixels
from neus.scenes.scene import Scene

# Views read on demand that are kept, since an image is often read again at once.
RECENT = 4


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
        original: the image that the file is a smaller copy of, whose size its mask may have; None if it is none.
    """

    name: str
    image: Path
    intrinsics: Tensor
    camera_to_world: Tensor
    model: str = OPENCV
    coefficients: tuple[float, ...] = ()
    original: Path | None = None


@dataclass(frozen=True)
class Loading:
    """How the pixels of a scene are read.

    Attributes:
        lazy: each image and mask when it is read; else all at once.
        downscale: images and masks are made smaller by this whole number; `auto` finds it (`downscale_factor`).
        on_start: receives one line on the images and the memory they take before they are read, if that is 100 MB or more; not if they
            are read when they are used.
        on_progress: receives the number of views that are read, and of how many.
    """

    lazy: bool = False
    downscale: str | int = AUTO
    on_start: Callable[[str], None] | None = None
    on_progress: Callable[[int, int], None] | None = None


ALL_AT_ONCE = Loading()


class FilePixels:
    """The pixels of views in files, decoded and freed from lens distortion when they are read.

    Args:
        views: V views.
        masks: V mask files, or None.
        background: (3,) RGB in [0, 1] laid under images with an alpha channel; None leaves alpha channels out.
        has_alphas: whether the images' alpha channels are the masks.
        code: what the numbers in the masks mean; None finds out.
        downscale: as for `downscale_factor`.

    Attributes:
        factor: by which images and masks are made smaller.
        sizes: V (width, height) then, by the headers of the images.
        intrinsics: (V, 3, 3) float64 of these images, without distortion.
    """

    in_memory = False

    def __init__(
        self,
        views: Sequence[ViewFiles],
        masks: Sequence[Path] | None = None,
        background: Sequence[float] | None = None,
        has_alphas: bool = False,
        code: MaskCode | None = None,
        downscale: str | int = AUTO,
    ) -> None:
        self.views, self.masks, self.background, self.has_alphas, self._code = (
            views,
            masks,
            background,
            has_alphas,
            code,
        )
        self.has_masks = has_alphas or masks is not None
        self.stored_sizes = [read_header(view.image).size for view in views]
        self._full_sizes = [read_header(view.original or view.image).size for view in views]
        self.factor = downscale_factor(downscale, self.stored_sizes)
        self.sizes = [downscaled_size(size, self.factor) for size in self.stored_sizes]
        self.intrinsics = torch.stack([self._intrinsics(view) for view in range(len(views))])
        self._recent_colors = lru_cache(RECENT)(self._colors)
        self._recent_masks = lru_cache(RECENT)(self._file_mask)

    def image(self, view: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return self._recent_colors(view)[0]

    def alpha(self, view: int) -> np.ndarray:
        """(H, W) uint8."""
        return self._recent_colors(view)[1]

    def mask(self, view: int) -> np.ndarray:
        """(H, W) bool."""
        return self.alpha(view) > 127 if self.has_alphas else self._recent_masks(view)

    def read(self, view: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Image, mask and alpha of one view, None where there is none; nothing is kept."""
        image, alpha = self._colors(view)
        if self.has_alphas:
            return image, alpha > 127, alpha
        return image, None if self.masks is None else self._file_mask(view), None

    def unchanged_file(self, view: int) -> Path | None:
        """The image file whose pixels are those of the view, neither undistorted nor made smaller; None where they are not."""
        files = self.views[view]
        return files.image if self.factor == 1 and files.original is None and is_pinhole(files.coefficients, files.model) else None

    def is_undistorted(self, view: int) -> bool:
        """Whether lens distortion is taken out of the image of a view."""
        return not is_pinhole(self.views[view].coefficients, self.views[view].model)

    @cached_property
    def white(self) -> float | None:
        """The value of white in all images, as of `white_level`."""
        return white_level([view.image for view in self.views])

    @cached_property
    def code(self) -> MaskCode | None:
        """What the numbers in the masks mean, None without masks."""
        return None if self.masks is None else self._code or mask_code(self.masks)

    def _intrinsics(self, index: int) -> Tensor:
        view, stored = self.views[index], self.stored_sizes[index]
        try:
            pinhole = pinhole_intrinsics(view.intrinsics, view.coefficients, stored, view.model)
        except InputError as error:
            raise InputError(f"{view.image}: {error}") from error
        return resized_intrinsics(pinhole, stored, self.sizes[index])

    def _colors(self, index: int) -> tuple[np.ndarray, np.ndarray | None]:
        view, stored = self.views[index], self.stored_sizes[index]
        reduction = jpeg_reduction(stored, self.factor)
        if self.background is None:
            layers = read_rgb(view.image, self.white, reduction)
        else:
            image, alpha = read_rgba(view.image, self.background, self.white, reduction)
            layers = np.dstack([image, alpha]) if self.has_alphas else image
        found = (layers.shape[1], layers.shape[0])
        if found not in (stored, downscaled_size(stored, reduction)):
            raise InputError(
                f"{view.image}: it decodes to {found[0]}x{found[1]} pixels but its header says {stored[0]}x{stored[1]}; "
                "the file is damaged, copy it again."
            )
        layers = resized_pixels(layers, self.sizes[index])
        layers = undistorted(layers, view.intrinsics, view.coefficients, view.model, stored)
        return layers[:, :, :3], layers[:, :, 3] if self.has_alphas else None

    def _file_mask(self, index: int) -> np.ndarray:
        view, stored = self.views[index], self.stored_sizes[index]
        mask = read_mask(self.masks[index], self.code)
        if mask.shape[::-1] not in (stored, self._full_sizes[index]):
            width, height = self._full_sizes[index]
            raise InputError(
                f"{self.masks[index]}: the mask is {mask.shape[1]}x{mask.shape[0]} pixels but its image {width}x{height}; "
                "export the mask at the size of the image."
            )
        mask = resized_pixels(mask, self.sizes[index])
        return undistorted(mask, view.intrinsics, view.coefficients, view.model, stored)


def scene_of(
    views: Sequence[ViewFiles],
    masks: Sequence[Path] | None,
    source: Path,
    layout: str,
    background: Sequence[float] | None = None,
    code: MaskCode | None = None,
    loading: Loading = ALL_AT_ONCE,
) -> Scene:
    """The scene of posed images, lens distortion taken out; its frame is the world.

    Args:
        views: V views.
        masks: V mask files, or None; then alpha channels that vary are the masks.
        source, layout: for `Scene.source` and `Scene.format`.
        background: (3,) RGB in [0, 1] laid under images with an alpha channel; None leaves alpha channels out.
        code: what the numbers in the masks mean; None finds out.
        loading: how the pixels are read.

    Raises:
        InputError: an image or a mask that cannot be read or has another size than its image; alpha channels in some images only; not
            enough memory.
    """
    is_cut_out = background is not None and _is_cut_out(views)
    has_alphas = is_cut_out and masks is None
    if has_alphas:
        _check_all_have_alpha(views, source)
    files = store = FilePixels(views, masks, background, has_alphas, code, loading.downscale)
    if not loading.lazy:
        line = check_memory(source, files.stored_sizes, files.factor, has_alphas)
        if loading.on_start and line:
            loading.on_start(line)
        _ = files.white, files.code  # found, and warned of, before several threads read
        store = packed_pixels(files.sizes, files.read, files.has_masks, has_alphas, loading.on_progress)
    return Scene(
        images=Layer(store, "image"),
        masks=Layer(store, "mask") if store.has_masks else None,
        intrinsics=files.intrinsics,
        camera_to_scene=torch.stack([view.camera_to_world for view in views]),
        scene_to_world=torch.eye(4, dtype=torch.float64),
        names=[view.name for view in views],
        background=torch.tensor(background, dtype=torch.float32) if is_cut_out else None,
        source=source,
        format=layout,
        alphas=Layer(store, "alpha") if has_alphas else None,
        turns=tuple(read_header(view.original or view.image).turn for view in views),
        downscale=files.factor,
    )


def unchanged_file(scene: Scene, view: int) -> Path | None:
    """The file that a view of a scene read on demand (`Loading.lazy`) shows as it is, or None.

    Such a file may have an alpha channel, of which the scene shows the image laid over its background.
    """
    layer = scene.images
    is_of_files = isinstance(layer, Layer) and isinstance(layer.store, FilePixels)
    return layer.store.unchanged_file(layer.views[view]) if is_of_files else None


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
