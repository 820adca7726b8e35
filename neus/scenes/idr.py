"""Reader of the folders of IDR and NeuS: DTU, preprocessed BlendedMVS, and scenes prepared for NeuS by its users.

SCENE/image/*.png        (or images/, any format, any numbering; sorted, view i is the i-th; alpha is the mask without mask/)
SCENE/mask/*.png         (or masks/) optional
SCENE/sparse_points.ply  optional, points of the world
SCENE/cameras_sphere.npz (or IDR's cameras.npz) world_mat_i (world to pixel), scale_mat_i (scene to world), 4x4 each
"""

import warnings
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from neus.errors import InputError, InputWarning
from neus.files import npz_header
from neus.geometry.cameras import camera_from_projection
from neus.geometry.similarity import transform_points
from neus.scenes.images import image_files
from neus.scenes.lenses import HALF_PIXEL
from neus.scenes.masks import masks_of, outlines
from neus.scenes.point_files import POINT_FILE, read_point_file
from neus.scenes.scene import BOX_HALF_SIDE, Scene
from neus.scenes.scene_checks import checked
from neus.scenes.selection import ALL_VIEWS, Selection
from neus.scenes.view_files import ALL_AT_ONCE, Loading, ViewFiles, scene_of
from neus.scenes.view_order import cameras_by_number, in_order_of_cameras

CAMERA_FILE, CAMERA_FILE_OF_IDR = "cameras_sphere.npz", "cameras.npz"
# What `Scene.region_from` says of these scenes.
FROM_CAMERA_FILE = "scale_mat_i of the camera file"
# What zipfile raises on a damaged archive; the last one stands for a compression that it does not know.
DAMAGED = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)


def read_idr(
    folder: Path,
    render_cameras: str = CAMERA_FILE,
    object_cameras: str = CAMERA_FILE,
    allow_inside: bool = False,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    selection: Selection = ALL_VIEWS,
    mask_meaning: str = "auto",
    loading: Loading = ALL_AT_ONCE,
) -> Scene:
    """The scene in a folder laid out as for IDR and NeuS.

    Args:
        folder: the scene's folder.
        render_cameras: file with the cameras; its scale matrix defines the scene frame (`render_cameras_name`).
        object_cameras: file whose scale matrix defines the box of the object (`object_cameras_name`).
        allow_inside: accept cameras inside the unit sphere.
        background: (3,) RGB in [0, 1], on which images with alpha are laid where there is no folder of masks.
        selection: of the views.
        mask_meaning: one of `masks.MEANINGS`.
        loading: how the pixels are read.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.

    Warns:
        InputWarning: more cameras than images, or images whose order is not certain.
    """
    folder = Path(folder)
    files = image_files(_image_folder(folder))
    cameras = read_camera_file(camera_file(folder, render_cameras), len(files), files)
    projections = cameras["world_mat"] @ cameras["scale_mat"]
    views = [camera_from_projection(projection[:3]) for projection in projections]
    intrinsics = torch.stack([k for k, _ in views])
    intrinsics[:, :2, 2] += HALF_PIXEL
    order = in_order_of_cameras(files, intrinsics, torch.stack([pose for _, pose in views]))
    masks = _mask_files(folder, files, order)
    chosen = selection.of([files[index].name for index in order], folder)
    ordered = [ViewFiles(files[order[v]].name, files[order[v]], intrinsics[v], views[v][1]) for v in chosen]
    if masks is not None:
        masks = outlines([masks[v] for v in chosen], [view.name for view in ordered], _given(mask_meaning), folder)
    scene = replace(
        scene_of(ordered, masks, folder, "idr", None if masks is not None else background, loading=loading),
        region_from=FROM_CAMERA_FILE,
        scene_to_world=torch.from_numpy(cameras["scale_mat"][0]),
        box=_object_box(camera_file(folder, object_cameras), cameras["scale_mat"][0]),
        points=read_point_file(folder / POINT_FILE) if (folder / POINT_FILE).is_file() else None,
    )
    return checked(scene, allow_inside)


def camera_file(folder: Path, name: str) -> Path:
    """The camera file of that name; where NeuS's default name is requested and only IDR's is there, that one."""
    if name == CAMERA_FILE and not (folder / name).is_file() and (folder / CAMERA_FILE_OF_IDR).is_file():
        return folder / CAMERA_FILE_OF_IDR
    return folder / name


def read_camera_file(path: Path, n_views: int, images: Sequence[Path] = ()) -> dict[str, np.ndarray]:
    """The matrices of an IDR camera file: `world_mat` and `scale_mat`, each (V, 4, 4) float64.

    Args:
        path: of the file.
        n_views: V.
        images: V files in natural order; of more cameras those are taken that their numbers name.

    Raises:
        InputError: not an npz file; fewer cameras than views; more, and names that do not tell which; a matrix missing, not 4x4, not
            finite, singular, or pickled (never executed).

    Warns:
        InputWarning: more cameras than views, and which are taken: by number, or where no image between others is missing the first, as
            NeuS does.
    """
    with _opened(path, f"an npz with world_mat_i and scale_mat_i for {n_views} views") as archive:
        n_cameras = sum(name.startswith("world_mat_") and "inv" not in name for name in archive.files)
        if n_cameras < n_views:
            raise InputError(
                f"{path}: {n_cameras} cameras (world_mat_0...) but {n_views} images; "
                "remove the extra images or re-export the cameras."
            )
        chosen = _chosen_cameras(path, n_cameras, n_views, images)
        return {
            kind: np.stack([_matrix(archive, path, f"{kind}_{view}") for view in chosen])
            for kind in ("world_mat", "scale_mat")
        }


def _chosen_cameras(path: Path, n_cameras: int, n_views: int, images: Sequence[Path]) -> list[int]:
    """The numbers of the cameras of V views; of more cameras those that belong to the images, which is said."""
    if n_cameras == n_views:
        return list(range(n_views))
    chosen = cameras_by_number(images, n_cameras) if images else None
    how = f"the first {n_views} cameras are taken, as NeuS does"
    if chosen is not None:
        missing = sorted(set(range(n_cameras)).difference(chosen))
        how = f"cameras are taken by the numbers of the images, all but {', '.join(map(str, missing[:4]))}{', ...' * (len(missing) > 4)}"
    warnings.warn(
        f"{path}: {n_cameras} cameras (world_mat_0...) but {n_views} images; {how}. If images were removed, restore them and leave them "
        "out by dataset.exclude.",
        InputWarning,
        stacklevel=4,
    )
    return list(range(n_views)) if chosen is None else chosen


def _given(mask_meaning: str) -> str:
    # This layout's masks are outlines by definition; only the user may say otherwise.
    return "object" if mask_meaning == "auto" else mask_meaning


def _image_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with image/ and a camera file.")
    for name in ("image", "images"):
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"{folder}: no image/ folder in it; expected image/ (or images/) with the images.")


def _mask_files(folder: Path, images: list[Path], order: list[int]) -> list[Path] | None:
    """The mask of each view: the masks in the same order as the images; by name where there are more or fewer."""
    masks_folder = next((folder / name for name in ("mask", "masks") if (folder / name).is_dir()), None)
    if masks_folder is None:
        return None
    files = image_files(masks_folder)
    if len(files) == len(images):
        return [files[index] for index in order]
    named = masks_of(masks_folder, [images[index].name for index in order])
    if None in named:
        raise InputError(
            f"{masks_folder}: {len(files)} masks but {len(images)} images; "
            "give one mask for each image, or remove the folder."
        )
    return named


def _opened(path: Path, expected: str) -> np.lib.npyio.NpzFile:
    if not path.is_file():
        raise InputError(f"{path}: no such camera file; expected {expected}.")
    try:
        # Pickled objects could run code; numpy refuses them when the entry is read. Mapped, a single array is not read at all.
        archive = np.load(path, mmap_mode="r", allow_pickle=False)
    except (*DAMAGED, ValueError) as error:
        raise InputError(f"{path}: not a readable npz file; expected {expected}. Re-export the cameras.") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise InputError(f"{path}: a single array, not an npz file; expected {expected}. Save it with numpy.savez.")
    return archive


def _matrix(archive: np.lib.npyio.NpzFile, path: Path, name: str) -> np.ndarray:
    if name not in archive.files:
        raise InputError(
            f"{path}: {name} is missing; expected world_mat_i and scale_mat_i for every view. Re-export the cameras."
        )
    try:
        shape, dtype = npz_header(archive, name)
        is_matrix = shape in ((4, 4), (3, 4)) and dtype.kind in "fiuO"
        matrix = np.asarray(archive[name]) if is_matrix else None
    except ValueError as error:
        raise InputError(
            f"{path}: {name} holds a pickled object, which is never loaded, or is damaged; save plain 4x4 arrays."
        ) from error
    except (*DAMAGED, RuntimeError) as error:
        raise InputError(f"{path}: {name} is damaged ({error}); copy or export the file again.") from error
    if matrix is None:
        raise InputError(f"{path}: {name} has shape {shape} of {dtype}, expected 4x4 numbers; re-export the cameras.")
    full = np.eye(4)
    full[: len(matrix)] = matrix.astype(np.float64)
    if not np.isfinite(full).all():
        raise InputError(f"{path}: {name} holds NaN or infinity, expected finite numbers; re-export the cameras.")
    if np.linalg.cond(full[:3, :3]) > 1e12:
        raise InputError(f"{path}: {name} is singular, expected an invertible matrix; re-export the cameras.")
    if name.startswith("scale_mat") and np.linalg.det(full[:3, :3]) < 0.0:
        raise InputError(
            f"{path}: {name} mirrors the scene (its determinant is negative), expected one scale, a rotation and a "
            "translation; re-export the cameras."
        )
    return full


def _object_box(path: Path, scene_to_world: np.ndarray) -> torch.Tensor:
    """(2, 3): the object's box, given by the scale matrix of its own camera file, in the scene frame."""
    with _opened(path, "an npz with scale_mat_0 (dataset.object_cameras_name)") as archive:
        object_to_world = _matrix(archive, path, "scale_mat_0")
    object_to_scene = torch.from_numpy(np.linalg.inv(scene_to_world) @ object_to_world)
    corners = BOX_HALF_SIDE * torch.tensor([[-1.0] * 3, [1.0] * 3], dtype=torch.float64)
    return transform_points(object_to_scene, corners).sort(dim=0).values
