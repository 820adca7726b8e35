"""The value of white, where it is not that of the files' number type; found once for all images of a scene."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from neus.errors import InputWarning
from neus.scenes.images import stored_pixels

# Only these formats hold more than eight bits; other files need not be opened.
DEEP_FORMATS = {".png", ".tif", ".tiff", ".exr", ".jp2", ".hdr", ".pfm"}
# What eight, ten, twelve and fourteen bits hold, the depths of cameras, and sixteen.
DEPTHS, SIXTEEN_BITS = (255, 1023, 4095, 16383), 65535


def white_level(files: Sequence[Path]) -> float | None:
    """The value of full intensity in all images together, or None if that of their type does.

    Sixteen-bit images hold the least of 8, 10, 12, 14 and 16 bits that none of their values exceeds; floating-point images with whole
    numbers above 1 hold 0 to 255 (above 255: 0 to 65535).

    Warns:
        InputWarning: what was assumed.
    """
    if not files or not _is_deep(files[0]):
        return None
    highest, is_float = 0.0, False
    for file in files:
        pixels = stored_pixels(file)
        is_float = np.issubdtype(pixels.dtype, np.floating)
        if not is_float and pixels.dtype != np.uint16:
            return None
        colors = np.nan_to_num(pixels[:, :, :3])
        highest = max(highest, float(colors.max()))
        if is_float and highest > 1.0 and (highest > SIXTEEN_BITS or not np.array_equal(colors, np.round(colors))):
            _warn(file, f"it holds floating-point numbers up to {highest:.4g}; those above 1 are shown as white")
            return None
        if not is_float and highest > DEPTHS[-1]:
            return None
    if is_float:
        white = None if highest <= 1.0 else 255.0 if highest <= 255 else float(SIXTEEN_BITS)
    else:
        white = None if highest == 0.0 else float(next(depth for depth in DEPTHS if highest <= depth))
    if white is not None:
        kind = "floating-point" if is_float else "sixteen-bit"
        _warn(
            files[0].parent, f"no value of its {kind} images is above {highest:.6g}, so {white:.0f} is taken as white"
        )
    return white


def _is_deep(file: Path) -> bool:
    suffix = file.suffix.lower()
    if suffix == ".png":
        with open(file, "rb") as opened:
            return opened.read(25)[24:] == b"\x10"  # the bit depth in the header
    return suffix in DEEP_FORMATS


def _warn(where: Path, what: str) -> None:
    warnings.warn(f"{where}: {what}.", InputWarning, stacklevel=3)
