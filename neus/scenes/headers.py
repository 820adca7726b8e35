"""Size, alpha channel and orientation of an image file, from its header alone."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from neus.errors import InputError
from neus.scenes.images import read_pixels

# Pillow and OpenCV agree on the channels of these; any other file is decoded to find them.
_OPAQUE_MODES, _ALPHA_MODES = {"1", "L", "I;16", "I;16B", "I", "RGB", "CMYK", "YCbCr"}, {"RGBA", "LA"}
_FORMATS = {"PNG", "JPEG", "MPO", "WEBP", "TIFF", "PPM"}
_ORIENTATION = 0x0112
# EXIF orientation to the clockwise quarter turns that make the stored image upright; mirrored ones as if not mirrored.
_TURNS = {3: 2, 4: 2, 5: 1, 6: 1, 7: 3, 8: 3}


@dataclass(frozen=True)
class ImageHeader:
    """What is known of an image before it is decoded.

    Attributes:
        width, height: of the stored raster, pixels.
        has_alpha: whether there is an alpha channel.
        turn: clockwise quarter turns, 0 to 3, by which the stored raster is shown upright (EXIF orientation).
    """

    width: int
    height: int
    has_alpha: bool
    turn: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.width, self.height


def read_header(path: Path) -> ImageHeader:
    """The header of an image file; only formats that Pillow does not know in full are decoded.

    Raises:
        InputError: missing, or not an image.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such image; check the path in the scene's files.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # nothing is decompressed here
            with path.open("rb") as opened, Image.open(opened) as image:
                mode = image.mode
                is_plain = mode in _OPAQUE_MODES and "transparency" not in image.info
                if mode == "P" and image.format == "PNG":  # OpenCV expands palettes
                    is_plain, mode = "transparency" not in image.info, "LA"
                if image.format in _FORMATS and (is_plain or mode in _ALPHA_MODES):
                    return ImageHeader(*image.size, not is_plain, _turn(image))
    except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError, SyntaxError):
        pass
    pixels = read_pixels(path)
    return ImageHeader(pixels.shape[1], pixels.shape[0], pixels.shape[2] == 4, 0)


def _turn(image: Image.Image) -> int:
    if image.format == "PNG" and "exif" not in image.info:
        return 0  # `getexif` would decode the whole file to look for it at the end
    return _TURNS.get(image.getexif().get(_ORIENTATION, 1), 0)
