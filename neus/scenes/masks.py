"""What the numbers in mask files mean, found once for all masks of a scene; and masks that are no outline of an object."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neus.errors import InputError, InputWarning, warn_of
from neus.scenes.find_files import ImageFolder
from neus.scenes.images import STORED_WHITE, stored_pixels

# The meanings a user may give them: found out, the outline of the object, or pixels to be ignored in training.
MEANINGS = ("auto", "object", "ignore")
# More grey levels than this are no labels but a dim image.
MAX_LABELS = 32
# One mask for so many views or more is no silhouette of an object seen from several sides.
MIN_VIEWS_OF_ONE_MASK = 3


@dataclass(frozen=True)
class MaskCode:
    """How mask files encode the object.

    Attributes:
        uses_alpha: by their alpha channel, else by the maximum of their colours.
        threshold: the object lies above this fraction of full intensity.
    """

    uses_alpha: bool = False
    threshold: float = 0.5

    def decoded(self, pixels: np.ndarray) -> np.ndarray:
        """(H, W) bool, True on the object, from (H, W, C) numbers of any type."""
        white = STORED_WHITE.get(pixels.dtype.name, 1.0)
        return _level(pixels, self.uses_alpha) > self.threshold * white


WHITE_IS_OBJECT = MaskCode()


def read_mask(path: Path, code: MaskCode = WHITE_IS_OBJECT) -> np.ndarray:
    """(H, W) bool of a mask file, True on the object. Raises as `images.read_pixels`."""
    return code.decoded(stored_pixels(path))


def mask_code(files: Sequence[Path]) -> MaskCode:
    """What the numbers mean in all masks of a scene together.

    The alpha channel counts where it varies in any of them, else the maximum over the colours. White is the object; where no
    mask reaches one half of white, every number but 0 is a label (0 and 1, or the classes of Pascal VOC) of the object.

    Warns:
        InputWarning: masks hold labels or dim greys, and what was assumed.
    """
    uses_alpha = _alpha_varies(files)
    highest, levels, white = 0.0, set(), 1.0
    for file in files:
        pixels = stored_pixels(file)
        white = STORED_WHITE.get(pixels.dtype.name, 1.0)
        level = _level(pixels, uses_alpha)
        highest = max(highest, float(level.max()) / white)
        if highest > 0.5:
            return MaskCode(uses_alpha)
        if len(levels) <= MAX_LABELS:
            levels |= set(np.unique(level).tolist())
    if highest == 0.0:
        return MaskCode(uses_alpha)
    threshold = 0.0 if len(levels) <= MAX_LABELS else highest / 2
    kind = "every number above 0" if threshold == 0.0 else f"what is above {threshold * white:.4g}"
    warnings.warn(
        f"{files[0].parent}: no mask has a value above {highest * white:.6g} of {white:.6g}; {kind} is taken as the object.",
        InputWarning,
        stacklevel=3,
    )
    return MaskCode(uses_alpha, threshold)


def masks_of(folder: Path, names: Sequence[str]) -> list[Path | None]:
    """The mask of each named image: NAME.png as COLMAP writes it, or an image of the same name or stem; None where there is none."""
    index = ImageFolder(folder, passed_over=())
    return [index.find(f"{name}.png") or index.find(name) for name in names]


def folder_of_masks(scene: Path) -> Path | None:
    """SCENE/masks or SCENE/mask, None where neither is there."""
    return next((scene / name for name in ("masks", "mask") if (scene / name).is_dir()), None)


def outlines_in(folder: Path, names: Sequence[str], meaning: str) -> list[Path] | None:
    """`outlines` of the masks in a folder, found by the images' names.

    Warns:
        InputWarning: as `outlines`, or no file in the folder belongs to one of the images.
    """
    found = masks_of(folder, names)
    if meaning != "ignore" and not any(found):
        files = [file for file in sorted(folder.rglob("*")) if file.is_file() and file.name[0] != "."]
        if files:
            warn_of(
                f"{folder}: none of its {len(files)} files is the mask of an image, so they are not used; "
                f"expected names such as {names[0]}.png",
                [file.relative_to(folder).as_posix() for file in files],
            )
    return outlines(found, names, meaning, folder)


def outlines(files: Sequence[Path | None], names: Sequence[str], meaning: str, source: Path) -> list[Path] | None:
    """The masks of all views if they are outlines of the object, else None.

    Args:
        files: V masks, None where a view has none.
        names: V names, for messages.
        meaning: one of `MEANINGS`.
        source: of the masks, for messages.

    Raises:
        InputError: only some views have a mask.

    Warns:
        InputWarning: masks are not used, because one mask serves all views or the user says that they do not show the object.
    """
    missing = [name for name, file in zip(names, files, strict=True) if file is None]
    if len(missing) == len(files):
        return None
    if meaning == "ignore":
        _warn_of_unused(source, "dataset.mask_meaning is ignore")
        return None
    if missing:
        raise InputError(
            f"{source}: {len(files) - len(missing)} of {len(files)} images have an alpha channel or a mask ({missing[0]} has not); "
            "expected all or none. Add the missing ones, leave these views out (dataset.exclude), or do without "
            "(dataset.mask_meaning = ignore)."
        )
    if meaning == "auto" and _is_one_mask(files):
        _warn_of_unused(
            source, "one mask serves all views, which is no outline of an object; dataset.mask_meaning = object uses it"
        )
        return None
    return list(files)


def _warn_of_unused(source: Path, reason: str) -> None:
    warnings.warn(f"{source}: the masks are not used ({reason}).", InputWarning, stacklevel=4)


def _is_one_mask(files: Sequence[Path]) -> bool:
    if len(files) < MIN_VIEWS_OF_ONE_MASK:
        return False
    if len({file.stat().st_size for file in files}) > 1:
        return False
    first = files[0].read_bytes()
    return all(file == files[0] or file.read_bytes() == first for file in files[1:])


def _alpha_varies(files: Sequence[Path]) -> bool:
    """Whether all masks up to the first whose alpha channel varies have one."""
    for file in files:
        pixels = stored_pixels(file)
        if pixels.shape[2] != 4:
            return False
        if pixels[:, :, 3].min() != pixels[:, :, 3].max():
            return True
    return False


def _level(pixels: np.ndarray, uses_alpha: bool) -> np.ndarray:
    if uses_alpha and pixels.shape[2] == 4:
        return pixels[:, :, 3]
    return pixels[:, :, :3].max(axis=2)
