"""What a camera notes in an image file: which device and lens took it, and its focal length."""

import math
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

# Tags of EXIF 2.3 (CIPA DC-008): of the file, and of the capture.
_MAKE, _MODEL, _EXIF = 0x010F, 0x0110, 0x8769
_FOCAL, _FOCAL_35, _LENS, _WIDTH = 0x920A, 0xA405, 0xA434, 0xA002
_PLANE_RESOLUTION, _PLANE_UNIT, _ZOOM = 0xA20E, 0xA210, 0xA404
# Millimetres of a unit of the focal plane's resolution: inch, centimetre, millimetre, micrometre.
_MILLIMETRES = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
# The diagonal of 24 x 36 mm film, to which 35 mm equivalents refer (CIPA DCG-001).
FILM_DIAGONAL = math.hypot(24.0, 36.0)
# Focal lengths outside of this, in longer sides of the image, are no lens's that people photograph objects with: a wrong tag.
LEAST_FOCAL, MOST_FOCAL = 0.3, 10.0


@dataclass(frozen=True)
class CameraNote:
    """What is known of the camera of an image.

    Attributes:
        device: make, model, lens, focal length and digital zoom: images with the same one were taken through the same optics. Empty
            where nothing is noted.
        focal: pixels of the stored raster, or None where it is not noted.
    """

    device: tuple = ()
    focal: float | None = None


def camera_note(path: Path, size: tuple[int, int]) -> CameraNote:
    """The notes of an image file; none where it has no EXIF, or a damaged one.

    f = f35 / 43.27 mm * diagonal from the 35 mm equivalent; else focal length times the focal plane's resolution.

    Args:
        path: an image file that Pillow opens (others have no notes).
        size: width and height of its raster.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # damaged notes are as good as none
            with Image.open(path) as image:
                return note_of_exif(image.getexif(), size)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return CameraNote()


def note_of_exif(exif: Image.Exif, size: tuple[int, int]) -> CameraNote:
    """The same from EXIF that is read already."""
    shot = exif.get_ifd(_EXIF)
    focal_mm, focal_35, zoom = (_number(shot.get(tag)) for tag in (_FOCAL, _FOCAL_35, _ZOOM))
    names = tuple(str(text).strip("\0 ") for text in (exif.get(_MAKE, ""), exif.get(_MODEL, ""), shot.get(_LENS, "")))
    known = any(names) or focal_mm or focal_35
    device = (*names, focal_mm, focal_35, zoom) if known else ()
    if focal_35:
        focal = focal_35 / FILM_DIAGONAL * math.hypot(*size)
    else:
        focal = _from_focal_plane(shot, focal_mm, size)
    is_likely = LEAST_FOCAL * max(size) < focal < MOST_FOCAL * max(size)
    return CameraNote(device, focal if is_likely else None)


def _from_focal_plane(shot: dict, focal_mm: float, size: tuple[int, int]) -> float:
    """Pixels of this raster, which may be smaller than the one the camera took; 0 if it is not noted."""
    resolution, width = _number(shot.get(_PLANE_RESOLUTION)), _number(shot.get(_WIDTH))
    per_millimetre = resolution / _MILLIMETRES.get(shot.get(_PLANE_UNIT, 2), 25.4)
    return focal_mm * per_millimetre * (max(size) / width if width else 1.0)


def _number(value: object) -> float:
    """A positive finite number, or 0."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0
    return number if math.isfinite(number) and number > 0.0 else 0.0
