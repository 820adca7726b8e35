"""Reader of the folders of IDR and NeuS: DTU, preprocessed BlendedMVS, and scenes prepared for NeuS by its users.

SCENE/image/*.png        (or images/, any format, any numbering; sorted, view i is the i-th)
SCENE/mask/*.png         (or masks/) optional
SCENE/cameras_sphere.npz world_mat_i (world to pixel), scale_mat_i (scene to world), 4x4 each
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

from neus.datasets.images import image_files, read_mask, read_rgb
from neus.datasets.lenses import HALF_PIXEL
from neus.datasets.scene import BOX_HALF_SIDE, Scene, checked
from neus.errors import InputError
from neus.files import npz_header
from neus.geometry.cameras import camera_from_projection
from neus.geometry.similarity import transform_points


def read_idr(
    folder: Path,
    render_cameras: str = "cameras_sphere.npz",
    object_cameras: str = "cameras_sphere.npz",
    allow_inside: bool = False,
) -> Scene:
    """The scene in a folder laid out as for IDR and NeuS.

    Args:
        folder: the scene's folder.
        render_cameras: file with the cameras; its scale matrix defines the scene frame (`render_cameras_name`).
        object_cameras: file whose scale matrix defines the box of the object (`object_cameras_name`).
        allow_inside: accept cameras inside the unit sphere.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.
    """
    folder = Path(folder)
    files = image_files(_image_folder(folder))
    mask_files = _mask_files(folder, len(files))
    cameras = read_camera_file(folder / render_cameras, len(files))
    projections = cameras["world_mat"] @ cameras["scale_mat"]
    views = [camera_from_projection(projection[:3]) for projection in projections]
    intrinsics = torch.stack([k for k, _ in views])
    intrinsics[:, :2, 2] += HALF_PIXEL
    scene = Scene(
        images=[read_rgb(f) for f in files],
        masks=None if mask_files is None else [read_mask(f) for f in mask_files],
        intrinsics=intrinsics,
        camera_to_scene=torch.stack([pose for _, pose in views]),
        scene_to_world=torch.from_numpy(cameras["scale_mat"][0]),
        names=[f.name for f in files],
        box=_object_box(folder / object_cameras, cameras["scale_mat"][0]),
        source=folder,
        format="idr",
    )
    return checked(scene, allow_inside)


def read_camera_file(path: Path, n_views: int) -> dict[str, np.ndarray]:
    """The matrices of an IDR camera file: `world_mat` and `scale_mat`, each (V, 4, 4) float64.

    Raises:
        InputError: not an npz file; a matrix missing, not 4x4, not finite, singular, or pickled (never executed).
    """
    with _opened(path, f"an npz with world_mat_i and scale_mat_i for {n_views} views") as archive:
        n_cameras = sum(name.startswith("world_mat_") and "inv" not in name for name in archive.files)
        if n_cameras != n_views:
            raise InputError(
                f"{path}: {n_cameras} cameras (world_mat_0...) but {n_views} images; "
                "remove the extra images or re-export the cameras."
            )
        return {
            kind: np.stack([_matrix(archive, path, f"{kind}_{view}") for view in range(n_views)])
            for kind in ("world_mat", "scale_mat")
        }


def _image_folder(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected a scene with image/ and a camera file.")
    for name in ("image", "images"):
        if (folder / name).is_dir():
            return folder / name
    raise InputError(f"{folder}: no image/ folder in it; expected image/ (or images/) with the photographs.")


def _mask_files(folder: Path, n_images: int) -> list[Path] | None:
    masks_folder = next((folder / name for name in ("mask", "masks") if (folder / name).is_dir()), None)
    if masks_folder is None:
        return None
    files = image_files(masks_folder)
    if len(files) != n_images:
        raise InputError(
            f"{masks_folder}: {len(files)} masks but {n_images} images; "
            "give one mask for each image, or remove the folder."
        )
    return files


def _opened(path: Path, expected: str) -> np.lib.npyio.NpzFile:
    if not path.is_file():
        raise InputError(f"{path}: no such camera file; expected {expected}.")
    try:
        # Pickled objects could run code; numpy refuses them when the entry is read. Mapped, a single array is not read at all.
        archive = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
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
    except (OSError, zipfile.BadZipFile, zlib.error, EOFError) as error:
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
