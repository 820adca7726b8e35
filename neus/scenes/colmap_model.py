"""COLMAP's sparse models, binary and text: cameras, posed images, and sparse points as arrays."""

import shutil
import struct
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pycolmap
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.scenes.colmap_text import PointRecords, read_cameras_text, read_images_text, read_points_text
from neus.scenes.images import natural_order
from neus.scenes.tracked_points import TrackedPoints, reliable_positions

# A point in points3D.bin: id, position, colour, error, and the number of views that follow, eight bytes each.
_PLACE_AT, _COLOR_AT, _COUNT_AT, _FIXED_BYTES, _BYTES_PER_VIEW = 8, 32, 43, 51, 8


@dataclass(frozen=True)
class ModelImage:
    """A posed image: its name with slashes, its camera, world_to_camera (4, 4) float64, and its id."""

    name: str
    camera: pycolmap.Camera
    world_to_camera: Tensor
    image_id: int


@dataclass(frozen=True)
class Model:
    """A sparse model.

    Attributes:
        place: its folder.
        images: those with a pose, in the natural order of their whole names.
        points: (P, 3) float64 sparse points in the world; those with short tracks only if there are few others.
        tracked: all finite sparse points, their tracks by the numbers of `images`; None without a file of them.
    """

    place: Path
    images: list[ModelImage]
    points: Tensor
    tracked: TrackedPoints | None


def read_model(folder: Path) -> Model:
    """The model of a scene: in sparse/0, sparse or the scene's folder itself; of several, the one with most images.

    Raises:
        InputError: no model, a damaged one, or one without posed images.

    Warns:
        InputWarning: there are several models; the one taken is named with the others.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with images/ and sparse/0/.")
    places = model_places(folder)
    if not places:
        raise InputError(f"{folder}: no COLMAP model; expected cameras and images (.bin or .txt) in sparse/0/.")
    counts = [_n_images(place) for place in places] if len(places) > 1 else [0]
    place = places[counts.index(max(counts))]
    if len(places) > 1:
        listed = [
            f"{p.relative_to(folder).as_posix()}: {count} images" for p, count in zip(places, counts, strict=True)
        ]
        warn_of(
            f"{folder}: {len(places)} sparse models; the largest, {place.relative_to(folder).as_posix()}, is taken",
            listed,
        )
    cameras, images = _read_text(place) if _is_text(place) else _read_binary(place)
    if not images:
        raise InputError(f"{place}: no images in the model have a pose; reconstruct the scene with COLMAP first.")
    known = [ModelImage(name.replace("\\", "/"), cameras[camera_id], pose, image_id) for name, camera_id, pose, image_id in images]
    ordered = sorted(known, key=lambda image: natural_order(Path(image.name)))
    records = _records(place)
    if records is None:
        return Model(place, ordered, torch.zeros(0, 3, dtype=torch.float64), None)
    points = torch.from_numpy(reliable_positions(records.positions, records.lengths))
    return Model(place, ordered, points, _tracked(records, [image.image_id for image in ordered]))


def model_places(folder: Path) -> list[Path]:
    """The folders of a scene that hold a sparse model; sparse/0, sparse/1, ... before all else."""
    sparse = folder / "sparse"
    numbered = sorted((p for p in sparse.iterdir() if p.is_dir()), key=natural_order) if sparse.is_dir() else []
    found = [place for place in numbered if _has_model(place)]
    return found or [place for place in (sparse, folder) if _has_model(place)][:1]


def _has_model(place: Path) -> bool:
    return any((place / f"cameras{ending}").is_file() for ending in (".bin", ".txt"))


def _is_text(place: Path) -> bool:
    return not (place / "cameras.bin").is_file()


def _n_images(place: Path) -> int:
    if _is_text(place):
        return len(read_images_text(place / "images.txt"))
    with suppress(OSError), open(place / "images.bin", "rb") as file:
        return int.from_bytes(file.read(8), "little")
    return 0


def _read_text(place: Path) -> tuple[dict[int, pycolmap.Camera], list[tuple[str, int, Tensor, int]]]:
    cameras = {}
    for camera_id, (model, width, height, params) in read_cameras_text(place / "cameras.txt").items():
        where = f"{place / 'cameras.txt'}: camera {camera_id}"
        try:
            camera = pycolmap.Camera(model=model, width=width, height=height, params=params)
        except (ValueError, RuntimeError, TypeError) as error:
            raise InputError(
                f"{where}: {model} {width}x{height} is no camera of COLMAP; export the model again."
            ) from error
        if not camera.verify_params():
            raise InputError(
                f"{where}: {len(params)} parameters, but {model} has {camera.params_info}; export the model again."
            )
        cameras[camera_id] = camera
    images = []
    for name, camera_id, pose, image_id in read_images_text(place / "images.txt"):
        if camera_id not in cameras:
            raise InputError(
                f"{place / 'images.txt'}: image {name} names camera {camera_id}, which cameras.txt has not."
            )
        quaternion = np.array([pose[1], pose[2], pose[3], pose[0]])
        if not np.linalg.norm(quaternion) > 0.0:
            raise InputError(
                f"{place / 'images.txt'}: image {name} has the quaternion 0, 0, 0, 0; export the model again."
            )
        rigid = pycolmap.Rigid3d(pycolmap.Rotation3d(quaternion / np.linalg.norm(quaternion)), np.array(pose[4:]))
        images.append((name, camera_id, _matrix(rigid), image_id))
    return cameras, images


def _read_binary(place: Path) -> tuple[dict[int, pycolmap.Camera], list[tuple[str, int, Tensor, int]]]:
    """By pycolmap, without points, which may be missing or be millions, and without rigs, whose poses the images have too."""
    with tempfile.TemporaryDirectory() as beside:
        for name in ("cameras.bin", "images.bin"):
            if (place / name).is_file():
                _linked((place / name).resolve(), Path(beside) / name)
        (Path(beside) / "points3D.bin").write_bytes(bytes(8))
        try:
            model = pycolmap.Reconstruction(beside)
            posed = [image for image in model.images.values() if image.has_pose]
            return dict(model.cameras), [(i.name, i.camera_id, _matrix(i.cam_from_world()), i.image_id) for i in posed]
        except (ValueError, RuntimeError, LookupError, MemoryError) as error:  # by what a damaged file makes it do next
            cause = " ".join(str(error).replace(beside, str(place)).split())[:160] or type(error).__name__
            raise InputError(f"{place}: not a readable COLMAP model ({cause}); export it again.") from error


def _linked(file: Path, link: Path) -> None:
    try:
        link.symlink_to(file)
    except OSError:  # not everybody may make links on Windows
        shutil.copyfile(file, link)


def _matrix(world_to_camera: pycolmap.Rigid3d) -> Tensor:
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3] = torch.from_numpy(np.array(world_to_camera.matrix()))
    return matrix


def _records(place: Path) -> PointRecords | None:
    """The sparse points, of any file of them; None without a file."""
    if not _is_text(place) and (place / "points3D.bin").is_file():
        return read_points_binary(place / "points3D.bin")
    return read_points_text(place / "points3D.txt") if (place / "points3D.txt").is_file() else None


def _tracked(records: PointRecords, image_ids: list[int]) -> TrackedPoints:
    """The finite points, with the tracks of the images that have a pose."""
    view_of = {image_id: view for view, image_id in enumerate(image_ids)}
    known, inverse = np.unique(records.image_ids, return_inverse=True)
    views = np.array([view_of.get(int(image_id), -1) for image_id in known], np.int64)[inverse]
    finite = np.isfinite(records.positions).all(axis=1)
    new = np.cumsum(finite) - 1
    owners = np.repeat(np.arange(len(finite)), records.lengths)
    kept = (views >= 0) & finite[owners]
    return TrackedPoints(records.positions[finite], records.colors[finite], new[owners[kept]], views[kept])


def read_points_binary(path: Path) -> PointRecords:
    """The points of a points3D.bin.

    Raises:
        InputError: the file ends too soon.
    """
    data = path.read_bytes()
    n_points = int.from_bytes(data[:8], "little")
    if len(data) < 8 or len(data) < 8 + n_points * _FIXED_BYTES:
        raise _truncated(path, len(data), n_points)
    try:
        starts = np.fromiter(_record_starts(data, n_points), np.int64, count=n_points)
    except (struct.error, OverflowError) as error:
        raise _truncated(path, len(data), n_points) from error
    if n_points and starts[-1] + _FIXED_BYTES > len(data):
        raise _truncated(path, len(data), n_points)
    if n_points == 0:
        return PointRecords(np.zeros((0, 3)), np.zeros(0, np.int64), np.zeros((0, 3), np.uint8), np.zeros(0, np.int64))
    # Records have odd lengths, so nothing is aligned: rows of bytes are taken first.
    words = np.frombuffer(data, np.uint8)
    points = sliding_window_view(words, 24)[starts + _PLACE_AT].view("<f8")
    colors = sliding_window_view(words, 3)[starts + _COLOR_AT]
    lengths = sliding_window_view(words, 8)[starts + _COUNT_AT].view("<i8")[:, 0]
    if starts[-1] + _FIXED_BYTES + _BYTES_PER_VIEW * lengths[-1] > len(data):
        raise _truncated(path, len(data), n_points)
    # Each view of a track is the id of an image and the number of a keypoint, four bytes each.
    within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.repeat(starts + _FIXED_BYTES, lengths) + _BYTES_PER_VIEW * within
    image_ids = sliding_window_view(words, 4)[places].view("<u4")[:, 0].astype(np.int64)
    return PointRecords(points, lengths, colors, image_ids)


def _record_starts(data: bytes, n_points: int) -> Iterable[int]:
    count_of, start = struct.Struct("<Q").unpack_from, 8
    for _ in range(n_points):
        yield start
        start += _FIXED_BYTES + _BYTES_PER_VIEW * count_of(data, start + _COUNT_AT)[0]


def _truncated(path: Path, n_bytes: int, n_points: int) -> InputError:
    return InputError(
        f"{path}: not a readable COLMAP model: {n_bytes} bytes are too few for {n_points} points; export it again."
    )
