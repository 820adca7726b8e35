"""HEIC images of phones to JPEG, by pi-heif, which is an optional package."""

from pathlib import Path

from PIL import Image

from neus.capture.exif import CameraNote, note_of_exif
from neus.capture.sources import DamagedImage
from neus.errors import InputError

JPEG_QUALITY = 95
_ORIENTATION = 0x0112
# EXIF orientation to the turn (anticlockwise, degrees) that brings an upright image back to the raster of the sensor.
_BACK = {3: 180, 6: 90, 8: 270}


def write_as_jpeg(file: Path, copy: Path) -> CameraNote:
    """Writes a HEIC image as JPEG with its notes, in the raster of the sensor, and gives what is noted about its camera.

    libheif turns images upright; a phone's lens would then make images of two sizes, which would be two cameras. So they are turned
    back, and the orientation is noted as in any JPEG of that phone.

    Raises:
        InputError: the package is not installed; DamagedImage: the file cannot be decoded.
    """
    try:
        import pi_heif
    except ImportError as error:
        raise InputError(
            f"{file}: HEIC images need the package pi-heif; install it (pip install pi-heif), or export the images as JPEG."
        ) from error
    pi_heif.register_heif_opener()
    try:
        with Image.open(file) as image:
            image.load()
            exif = image.getexif()
            orientation = image.info.get("original_orientation") or 1
            raster = image.convert("RGB")
    except (OSError, ValueError, SyntaxError, RuntimeError) as error:
        raise DamagedImage(f"not a readable image ({error})") from error
    if orientation in _BACK:
        raster = raster.rotate(_BACK[orientation], expand=True)
    exif[_ORIENTATION] = orientation if orientation in _BACK else 1
    copy.parent.mkdir(parents=True, exist_ok=True)
    raster.save(copy, "JPEG", quality=JPEG_QUALITY, subsampling=0, exif=exif)
    return note_of_exif(exif, raster.size)

