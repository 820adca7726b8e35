"""Cameras of Agisoft Metashape: File > Export > Export Cameras, Agisoft XML.

u = w/2 + cx + x' (f + b1) + y' b2, v = h/2 + cy + y' f, with x' = x (1 + k1 r^2 + ... + k4 r^8) + p1 (r^2 + 2 x^2) + 2 p2 x y and
y' likewise (Metashape manual, appendix on camera models): p1 and p2 are OpenCV's p2 and p1. Fisheyes have the angle in place of r.
camera/transform is camera to chunk in this project's axes; the transform of its component, with a scale, leads on to the world.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.files import read_text
from neus.geometry.similarity import similarity, transform_poses
from neus.scenes.foreign.brown import brown_lens
from neus.scenes.foreign.files import SUGGESTION, begins_with, found_file, numbers_of
from neus.scenes.pixel_store import Size
from neus.scenes.posed_images import PosedImage, PosedImages, described, pinhole

FRAME, FISHEYE = "frame", ("fisheye", "equidistant_fisheye")
# World coordinates from so many units on are those of the whole Earth: meshes of 32 bits would have steps of a hand's breadth.
GEOCENTRIC = 1e6


def find_metashape(folder: Path) -> Path | None:
    """The .xml file that is a Metashape document with cameras."""
    return found_file(folder, ("*.xml",), lambda path: begins_with(path, b"<document", b"<chunk"))


def read_metashape(path: Path, folder: Path) -> PosedImages:
    """Cameras of the active chunk, in the world of their components.

    Raises:
        InputError: no XML, no chunk with sensors and cameras, a sensor that is no frame or fisheye camera, or a missing number.

    Warns:
        InputWarning: cameras without a pose; a world of the whole Earth, which is moved to its origin.
    """
    chunk = _chunk(path)
    sensors = {sensor.get("id"): sensor for sensor in chunk.iterfind("sensors/sensor")}
    to_world, metres, up = _transforms(chunk, path)
    images, lost = [], []
    for camera in chunk.find("cameras").iter("camera"):
        label = camera.get("label") or f"camera {camera.get('id')}"
        where = f"{path}: camera {label}"
        if camera.get("enabled") in ("0", "false"):
            continue
        if (pose := camera.find("transform")) is None:
            lost.append(label)
            continue
        matrix = torch.from_numpy(numbers_of((pose.text or "").split(), 16, f"{where}: transform").reshape(4, 4))
        if camera.get("sensor_id") not in sensors:
            raise InputError(f"{where}: its sensor {camera.get('sensor_id')!r} is not in the file; {SUGGESTION}.")
        frame = to_world.get(camera.get("component_id"), to_world[None])
        images.append(_image(label, transform_poses(frame, matrix), sensors[camera.get("sensor_id")], where))
    if lost:
        warn_of(f"{path}: {len(lost)} of {len(images) + len(lost)} cameras have no pose and are left out", lost)
    return PosedImages(path, folder, images, up=up, metres=metres, without_pose=lost)


def _chunk(path: Path) -> ElementTree.Element:
    try:
        root = ElementTree.fromstring(read_text(path, SUGGESTION).encode())
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: not readable XML ({error}); {SUGGESTION}.") from error
    chunks = [chunk for chunk in root.iter("chunk") if chunk.find("cameras") is not None]
    if not chunks or not any(chunk.find("sensors/sensor") is not None for chunk in chunks):
        raise InputError(f"{path}: no chunk with sensors and cameras in it; export the cameras as Agisoft XML.")
    return next((chunk for chunk in chunks if chunk.get("active") in ("1", "true")), chunks[0])


def _image(label: str, pose: Tensor, sensor: ElementTree.Element, where: str) -> PosedImage:
    kind, size, values = sensor.get("type", FRAME), _size(sensor, where), _calibration(sensor, where)
    if kind not in (FRAME, *FISHEYE):
        raise InputError(
            f"{where}: its sensor is {kind}, expected frame or fisheye; cut the images into perspective ones."
        )
    if "f" not in values:
        raise InputError(f"{where}: no focal length f in its sensor's calibration; align the images and {SUGGESTION}.")

    def of(*keys: str) -> list[float]:
        return [values.get(key, 0.0) for key in keys]

    (cx, cy), (b1, b2), focal = of("cx", "cy"), of("b1", "b2"), values["f"]
    matrix = pinhole(focal + b1, focal, size[0] / 2 + cx, size[1] / 2 + cy, b2)
    lens = brown_lens(of("k1", "k2", "k3", "k4"), of("p2", "p1"), skew=b2)
    if kind in FISHEYE:
        if any(of("p1", "p2")):
            raise InputError(
                f"{where}: a fisheye with p1 and p2 is not read; set them to 0 in Metashape and optimize the cameras."
            )
        lens = ("OPENCV_FISHEYE", tuple(of("k1", "k2", "k3", "k4")))
    return PosedImage(label, pose, described(matrix, size, where), *lens)


def _size(sensor: ElementTree.Element, where: str) -> Size:
    resolution = sensor.find("resolution")
    if resolution is None:
        raise InputError(f"{where}: its sensor has no resolution; {SUGGESTION}.")
    width, height = numbers_of([resolution.get("width"), resolution.get("height")], 2, f"{where}: resolution")
    return round(width), round(height)


def _calibration(sensor: ElementTree.Element, where: str) -> dict[str, float]:
    """The numbers of the adjusted calibration, or of the only one."""
    found = sensor.findall("calibration")
    if not found:
        return {}
    chosen = next((one for one in found if one.get("class") == "adjusted"), found[0])
    plain = [one for one in chosen if len(one) == 0 and one.text and one.tag != "resolution"]
    return {one.tag: float(numbers_of([one.text.strip()], 1, f"{where}: {one.tag}")[0]) for one in plain}


def _transforms(
    chunk: ElementTree.Element, path: Path
) -> tuple[dict[str | None, Tensor], float | None, tuple[float, float, float] | None]:
    """From the chunk to the world by component, None for cameras of no component; metres per unit and up, where there is a scale."""
    found: dict[str | None, Tensor] = {}
    places: list[tuple[str | None, ElementTree.Element]] = [(None, chunk)]
    places += [(component.get("id"), component) for component in chunk.iterfind("components/component")]
    for name, element in places:
        if (transform := element.find("transform")) is not None:
            found[name] = _similarity(transform, f"{path}: transform of component {name}")
    if not found:
        return {None: torch.eye(4, dtype=torch.float64)}, None, None
    found.setdefault(None, next(iter(found.values())))
    place = found[None][:3, 3]
    up = (0.0, 0.0, 1.0)
    if float(place.norm()) > GEOCENTRIC:
        up = tuple((place / place.norm()).tolist())
        warn_of(
            f"{path}: the world is that of the whole Earth; it is moved so that this place is its origin", _words(place)
        )
        found = {name: _moved(matrix, place) for name, matrix in found.items()}
    return found, 1.0, up


def _similarity(transform: ElementTree.Element, where: str) -> Tensor:
    def of(key: str, count: int, default: np.ndarray) -> np.ndarray:
        text = transform.findtext(key)
        return default if text is None else numbers_of(text.split(), count, f"{where}: {key}")

    rotation = of("rotation", 9, np.eye(3)).reshape(3, 3)
    scale = float(of("scale", 1, np.ones(1))[0])
    if not scale > 0.0:
        raise InputError(f"{where}: scale {scale}, expected a positive number; {SUGGESTION}.")
    return similarity(scale, torch.from_numpy(of("translation", 3, np.zeros(3))), torch.from_numpy(rotation))


def _moved(matrix: Tensor, place: Tensor) -> Tensor:
    moved = matrix.clone()
    moved[:3, 3] -= place
    return moved


def _words(place: Tensor) -> list[str]:
    return [" ".join(f"{value:.3f}" for value in place.tolist())]
