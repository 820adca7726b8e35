"""Cameras of RealityCapture and RealityScan in XMP files: IMAGE.xmp beside each image.

xcr:Rotation is row by row from world to camera (x right, y down, z forward), xcr:Position the centre; focal length of 35 mm film, principal
point from the middle in fractions of the longer side; coefficients k1, k2, k3, k4, t1, t2 (RealityCapture, XMP camera math).
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.scenes.foreign.brown import brown_lens
from neus.scenes.foreign.files import SUGGESTION, numbers_of, value_of
from neus.scenes.foreign.realitycapture import film_intrinsics
from neus.scenes.images import natural_order
from neus.scenes.posed_images import IMAGE_FOLDERS, PosedImage, PosedImages, pose_from_rotation

NAMESPACE = "{http://www.capturingreality.com/ns/xcr/1.1#}"
# Names of lens models, in lower case, of which the coefficients are Brown's.
MODELS = ("perspective", "brown3", "brown4", "brown3t2", "brown4t2")
# Enough of a file to see what it is.
_HEAD = 4096


def find_xmp(folder: Path) -> Path | None:
    """The folder of the images, where XMP files with poses lie beside them."""
    places = [folder, *(folder / name for name in IMAGE_FOLDERS)] if folder.is_dir() else []
    for place in places:
        if any(_has_pose(file) for file in sorted(place.glob("*.xmp"))[:20]):
            return place
    return None


def read_xmp(path: Path, folder: Path) -> PosedImages:
    """Cameras of all XMP files of a folder.

    Raises:
        InputError: no XML, a missing number, or a lens that is none of Brown's.

    Warns:
        InputWarning: files without a pose.
    """
    images, lost = [], []
    for file in sorted((f for f in path.glob("*.xmp") if f.name[0] != "."), key=natural_order):
        values = _values(file)
        if "Rotation" in values and "Position" in values:
            images.append(_image(file, values))
        else:
            lost.append(file.stem)
    if lost:
        warn_of(f"{path}: {len(lost)} of {len(lost) + len(images)} XMP files have no pose and are left out", lost)
    return PosedImages(path, folder, images, without_pose=lost)


def _has_pose(file: Path) -> bool:
    with open(file, "rb") as opened:
        return b"xcr:Rotation" in opened.read(_HEAD)


def _values(file: Path) -> dict[str, str]:
    """What RealityCapture wrote, whether as attributes or as elements."""
    try:
        root = ElementTree.fromstring(read_text(file, SUGGESTION).encode())
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{file}: not readable XML ({error}); {SUGGESTION}.") from error
    values = {}
    for element in root.iter():
        values |= {
            key.removeprefix(NAMESPACE): text for key, text in element.attrib.items() if key.startswith(NAMESPACE)
        }
        if element.tag.startswith(NAMESPACE) and element.text:
            values[element.tag.removeprefix(NAMESPACE)] = element.text
    return values


def _image(file: Path, values: dict[str, str]) -> PosedImage:
    def of(key: str, count: int, default: str | None = None) -> list[float]:
        text = value_of(values, key, str(file)) if default is None else values.get(key, default)
        return numbers_of(text.split(), count, f"{file}: {key}").tolist()

    model = values.get("DistortionModel", MODELS[0]).strip().lower()
    k1, k2, k3, k4, t1, t2 = of("DistortionCoeficients", 6, "0 0 0 0 0 0")
    if model not in MODELS and any((k1, k2, k3, k4, t1, t2)):
        raise InputError(
            f"{file}: its lens is {model}, expected one of {', '.join(MODELS)}; set another distortion model and align again."
        )
    if of("Skew", 1, "0") != [0.0] or of("AspectRatio", 1, "1") != [1.0]:
        raise InputError(f"{file}: a skew or an aspect ratio is not read; align again without them.")
    (focal,), (px,), (py,) = of("FocalLength35mm", 1), of("PrincipalPointU", 1, "0"), of("PrincipalPointV", 1, "0")
    pose = pose_from_rotation(of("Rotation", 9), of("Position", 3))
    lens = brown_lens((k1, k2, k3, k4), (t2, t1)) if model != MODELS[0] else brown_lens(())
    return PosedImage(file.stem, pose, film_intrinsics(focal, px, py), *lens)
