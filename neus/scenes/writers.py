"""Scenes to folders: image/ and cameras_sphere.npz of IDR and NeuS, COLMAP's sparse model, transforms.json."""

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pycolmap
import torch
from torch import Tensor

from neus.errors import InputError
from neus.files import json_text, written_whole
from neus.geometry.cameras import Camera, project
from neus.geometry.poses import invert
from neus.geometry.similarity import scale_of, transform_points
from neus.scenes.lenses import HALF_PIXEL
from neus.scenes.scene import Scene

# Where a format is lossy, names ending in .jpg ask for it; masks are always PNG.
JPEG_QUALITY = 98
# OpenGL cameras, as of transforms.json, look along -z with y up.
_OPENCV_TO_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))


def save_scene(
    scene: Scene, folder: str | Path, layout: str = "idr", notes: Mapping[str, str] | None = None
) -> Path:
    """Writes a scene to a folder that is then either whole or not there, and returns it.

    Masks are written as files; how much of a pixel an object covers (`Scene.alphas`) is not kept.

    Args:
        scene: is written at the size it has, without distortion.
        folder: new or empty.
        layout: `idr` and `transforms` keep the region of interest; `colmap` has none, so dataset.center and dataset.radius tell it.
        notes: text files to lie beside it, by name.

    Raises:
        InputError: an unknown layout, a folder that is not empty or cannot be written, or a region that `transforms` cannot hold.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: already exists; expected a new folder for the scene. Remove it or name another.")
    with written_whole(folder, is_folder=True) as beside:
        LAYOUTS[layout](scene, beside)
        for name, text in (notes or {}).items():
            (beside / name).write_text(text, encoding="utf-8")
    return folder


def world_to_cameras(scene: Scene) -> Tensor:
    """(V, 4, 4) rigid: world to camera, world units."""
    camera_to_world = scene.scene_to_world @ scene.camera_to_scene
    camera_to_world[:, :3, :3] /= scale_of(scene.scene_to_world)
    return invert(camera_to_world)


def write_idr(scene: Scene, folder: Path) -> Path:
    """image/, mask/ and cameras_sphere.npz, as IDR and NeuS read them."""
    cameras = {}
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        full = torch.eye(4, dtype=torch.float64)
        full[:3, :3] = scene.intrinsics[view]
        full[:2, 2] -= HALF_PIXEL  # NeuS counts pixel centres at integers
        cameras[f"world_mat_{view}"] = (full @ world_to_camera).numpy()
        cameras[f"scale_mat_{view}"] = scene.scene_to_world.numpy()
        write_image(folder / "image" / f"{view:03d}.png", scene.images[view])
        if scene.masks is not None:
            write_image(folder / "mask" / f"{view:03d}.png", scene.masks[view])
    np.savez(folder / "cameras_sphere.npz", **cameras)
    return folder


def write_transforms(scene: Scene, folder: Path) -> Path:
    """transforms.json with one camera per frame and the sphere of the object, images/ and masks/.

    Raises:
        InputError: the region of interest is rotated against the world.
    """
    scale = scale_of(scene.scene_to_world)
    if not torch.allclose(scene.scene_to_world[:3, :3], scale * torch.eye(3, dtype=torch.float64), atol=1e-9 * scale):
        raise InputError(
            f"{folder}: transforms.json has no rotation of the region of interest; write the layout idr, or move the cameras."
        )
    frames = []
    names = _file_names(scene)
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        (fx, _, cx), (_, fy, cy), _ = scene.intrinsics[view].tolist()
        width, height = scene.sizes[view]
        pose = (invert(world_to_camera) @ _OPENCV_TO_OPENGL).tolist()
        frame = {"file_path": f"images/{names[view]}", "transform_matrix": pose}
        frame |= {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": width, "h": height}
        write_image(folder / "images" / names[view], scene.images[view])
        if scene.masks is not None:
            frame["mask_path"] = f"masks/{names[view]}.png"
            write_image(folder / frame["mask_path"], scene.masks[view])
        frames.append(frame)
    sphere = {"sphere_center": scene.scene_to_world[:3, 3].tolist(), "sphere_radius": scale}
    (folder / "transforms.json").write_text(json_text(sphere | {"frames": frames}, indent=1), encoding="utf-8")
    return folder


def write_colmap(
    scene: Scene, folder: Path, model: str = "PINHOLE", binary: bool = True, points: Tensor | None = None
) -> Path:
    """images/, masks/ and sparse/0.

    Args:
        scene, folder: what is written, and where.
        model: COLMAP's camera model, all of whose coefficients are zero; with one focal length only if fx equals fy in the scene.
        binary: .bin files, else .txt.
        points: (P, 3) in the world, which get tracks of the views that have them in their frames.
    """
    reconstruction = pycolmap.Reconstruction()
    tracks = [[] for _ in range(0 if points is None else len(points))]
    names = _file_names(scene)
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        camera = scene.camera(view)
        reconstruction.add_camera_with_trivial_rig(colmap_camera(camera, model, camera_id=view + 1))
        keypoints = np.zeros((0, 2))
        if points is not None:
            pixels, _ = project(transform_points(invert(scene.scene_to_world), points), camera)
            seen = ((pixels > 0) & (pixels < torch.tensor([camera.width, camera.height]))).all(-1)
            keypoints = pixels[seen].numpy()
            for index, point in enumerate(seen.nonzero()[:, 0].tolist()):
                tracks[point].append(pycolmap.TrackElement(view + 1, index))
        image = pycolmap.Image(name=names[view], keypoints=keypoints, camera_id=view + 1, image_id=view + 1)
        reconstruction.add_image_with_trivial_frame(image, pycolmap.Rigid3d(world_to_camera[:3].numpy()))
        write_image(folder / "images" / names[view], scene.images[view])
        if scene.masks is not None:
            write_image(folder / "masks" / f"{names[view]}.png", scene.masks[view])
    for xyz, elements in zip([] if points is None else points.numpy(), tracks, strict=True):
        if len(elements) >= 2:
            reconstruction.add_point3D(xyz, pycolmap.Track(elements), np.array([128, 128, 128], np.uint8))
    (folder / "sparse" / "0").mkdir(parents=True)
    (reconstruction.write_binary if binary else reconstruction.write_text)(str(folder / "sparse" / "0"))
    return folder


def colmap_camera(
    camera: Camera, model: str, camera_id: int, distortion: tuple[float, ...] | None = None
) -> pycolmap.Camera:
    """COLMAP's camera of a view; without `distortion` all its coefficients are zero.

    Raises:
        InputError: a model with one focal length for a camera with two.
    """
    (fx, _, cx), (_, fy, cy), _ = camera.intrinsics.tolist()
    one_focal = model.startswith("SIMPLE") or model == "RADIAL"
    if one_focal and fx != fy:
        raise InputError(f"camera model {model} has one focal length, but fx = {fx} and fy = {fy}; use PINHOLE.")
    made = pycolmap.Camera.create_from_model_name(camera_id, model, fx, camera.width, camera.height)
    known = [fx, cx, cy] if one_focal else [fx, fy, cx, cy]
    n_left = len(made.params) - len(known)
    made.params = known + (list(distortion) if distortion is not None else [0.0] * n_left)
    return made


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Writes (H, W, 3) RGB, (H, W, 4) RGBA uint8, or (H, W) bool as black and white; missing folders are made.

    Raises:
        OSError: no space, or no such format.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8) * 255
    else:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA if pixels.shape[2] == 4 else cv2.COLOR_RGB2BGR)
    options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY] if path.suffix.lower() in (".jpg", ".jpeg") else []
    if not cv2.imwrite(str(path), pixels, options):
        raise OSError(f"{path.name} cannot be written: the disk is full, or the format is unknown")


def _file_names(scene: Scene) -> list[str]:
    """The views' names if all can be files within a folder, else numbers."""
    paths = [PurePosixPath(name) for name in scene.names]
    is_usable = len(set(paths)) == len(paths) and all(
        path.name and not path.is_absolute() and ".." not in path.parts and cv2.haveImageWriter(str(path))
        for path in paths
    )
    return list(scene.names) if is_usable else [f"{view:03d}.png" for view in range(len(scene))]


LAYOUTS: dict[str, Callable[[Scene, Path], Path]] = {
    "idr": write_idr,
    "colmap": write_colmap,
    "transforms": write_transforms,
}
