"""Scenes to folders: image/ and cameras_sphere.npz of IDR and NeuS, COLMAP's sparse model, transforms.json."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pycolmap
import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.files import json_text, written_whole
from neus.geometry.cameras import Camera, project
from neus.geometry.poses import invert
from neus.geometry.similarity import scale_of, transform_points
from neus.scenes.image_writer import ImageWriter
from neus.scenes.lenses import HALF_PIXEL
from neus.scenes.point_files import POINT_FILE, write_point_file, write_world_file
from neus.scenes.region import in_frame
from neus.scenes.scene import Scene
from neus.scenes.tracked_points import TrackedPoints

# OpenGL cameras, as of transforms.json, look along -z with y up.
_OPENCV_TO_OPENGL = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
# Skew that COLMAP's cameras have not matters from so many pixels at the upper and lower border on.
_SKEW_SEEN = 0.01


def save_scene(
    scene: Scene,
    folder: str | Path,
    layout: str = "idr",
    notes: Mapping[str, str] | None = None,
    keep_files: bool = False,
    has_region: bool = True,
) -> Path:
    """Writes a scene to a folder that is then either whole or not there, and returns it.

    Masks are written as files. How much of a pixel an object covers (`Scene.alphas`) is kept only in image files that are.

    Args:
        scene: is written at the size it has, without distortion.
        folder: new or empty.
        layout: `idr` and `transforms` keep the region of interest; `colmap` has none, so dataset.center and dataset.radius tell it.
        notes: text files to lie beside it, by name.
        keep_files: images of a scene read on demand that are as their files show them become hard links to these, or copies, instead of
            being encoded again.
        has_region: whether `transforms` is given the region of interest.

    Raises:
        InputError: an unknown layout, a folder that is not empty or cannot be written, or a region that `transforms` cannot hold.
    """
    folder = Path(folder)
    if layout not in LAYOUTS:
        raise InputError(f"layout {layout!r}: expected one of {', '.join(LAYOUTS)}.")
    check_is_new(folder)
    settings = {"has_region": has_region} if layout == "transforms" else {}
    with written_whole(folder, is_folder=True) as beside:
        LAYOUTS[layout](scene, beside, keep_files=keep_files, **settings)
        write_world_file(beside, scene)
        for name, text in (notes or {}).items():
            (beside / name).write_text(text, encoding="utf-8")
    return folder


def check_is_new(folder: Path) -> None:
    """InputError if a folder for a scene has something in it."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: already exists; expected a new folder for the scene. Remove it or name another.")


def world_to_cameras(scene: Scene) -> Tensor:
    """(V, 4, 4) rigid: world to camera, world units."""
    camera_to_world = scene.scene_to_world @ scene.camera_to_scene
    camera_to_world[:, :3, :3] /= scale_of(scene.scene_to_world)
    return invert(camera_to_world)


def write_idr(scene: Scene, folder: Path, keep_files: bool = False) -> Path:
    """image/, mask/ and cameras_sphere.npz, as IDR and NeuS read them, and sparse_points.ply where there are points."""
    cameras, images = {}, ImageWriter(scene, keep_files, numbered=True)
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        full = torch.eye(4, dtype=torch.float64)
        full[:3, :3] = scene.intrinsics[view]
        full[:2, 2] -= HALF_PIXEL  # NeuS counts pixel centres at integers
        cameras[f"world_mat_{view}"] = (full @ world_to_camera).numpy()
        cameras[f"scale_mat_{view}"] = scene.scene_to_world.numpy()
        images.image(view, folder / "image")
        if scene.masks is not None:
            images.mask(view, folder / "mask" / images.names[view])
    np.savez(folder / "cameras_sphere.npz", **cameras)
    if scene.points is not None and len(scene.points):
        write_point_file(folder / POINT_FILE, scene.points)
    return folder


def write_transforms(scene: Scene, folder: Path, keep_files: bool = False, has_region: bool = True) -> Path:
    """transforms.json with one camera per frame and the sphere of the object, images/, masks/, and sparse_points.ply.

    Raises:
        InputError: the region of interest is rotated against the world.
    """
    scale = scale_of(scene.scene_to_world)
    if has_region and not torch.allclose(
        scene.scene_to_world[:3, :3], scale * torch.eye(3, dtype=torch.float64), atol=1e-9 * scale
    ):
        raise InputError(
            f"{folder}: transforms.json has no rotation of the region of interest; write the layout idr, or move the cameras."
        )
    frames, images = [], ImageWriter(scene, keep_files)
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        (fx, skew, cx), (_, fy, cy), _ = scene.intrinsics[view].tolist()
        width, height = scene.sizes[view]
        pose = (invert(world_to_camera) @ _OPENCV_TO_OPENGL).tolist()
        frame = {"file_path": f"images/{images.names[view]}", "transform_matrix": pose}
        frame |= {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": width, "h": height}
        frame |= {"sk_x": skew} if skew else {}
        images.image(view, folder / "images")
        if images.has_mask_file(view):
            frame["mask_path"] = f"masks/{images.names[view]}.png"
            images.mask(view, folder / frame["mask_path"])
        frames.append(frame)
    content = {"camera_model": "OPENCV", "applied_transform": torch.eye(4)[:3].tolist()}
    if has_region:
        content |= {"sphere_center": scene.scene_to_world[:3, 3].tolist(), "sphere_radius": scale}
    if scene.points is not None and len(scene.points):
        write_point_file(folder / POINT_FILE, scene.points)
        content["ply_file_path"] = POINT_FILE
    (folder / "transforms.json").write_text(json_text(content | {"frames": frames}, indent=1), encoding="utf-8")
    return folder


def write_colmap(
    scene: Scene,
    folder: Path,
    model: str = "PINHOLE",
    binary: bool = True,
    points: Tensor | None = None,
    keep_files: bool = False,
) -> Path:
    """images/, masks/ and sparse/0. Keypoints are where the points fall in the images, those of no points are not kept.

    Args:
        scene, folder: what is written, and where.
        model: COLMAP's camera model, all of whose coefficients are zero; with one focal length only if fx equals fy in the scene.
        binary: .bin files, else .txt.
        points: (P, 3) in the world, which get tracks of the views that have them in their frames; None takes those of the scene.
        keep_files: as for `save_scene`.

    Warns:
        InputWarning: the cameras have a skew, which COLMAP's have not.
    """
    _warn_of_skew(scene)
    reconstruction, images = pycolmap.Reconstruction(), ImageWriter(scene, keep_files)
    tracked = scene.points if points is None else TrackedPoints(points.numpy())
    tracks = [[] for _ in range(0 if tracked is None else len(tracked))]
    candidates = [np.zeros(0, np.int64)] * len(scene) if tracked is None else tracked.seen_by(len(scene))
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        reconstruction.add_camera_with_trivial_rig(colmap_camera(scene.camera(view), model, camera_id=view + 1))
        seen, keypoints = ([], np.zeros((0, 2))) if tracked is None else _shown(scene, view, tracked, candidates[view])
        for index, point in enumerate(seen):
            tracks[point].append(pycolmap.TrackElement(view + 1, index))
        image = pycolmap.Image(name=images.names[view], keypoints=keypoints, camera_id=view + 1, image_id=view + 1)
        reconstruction.add_image_with_trivial_frame(image, pycolmap.Rigid3d(world_to_camera[:3].numpy()))
        images.image(view, folder / "images")
        if images.has_mask_file(view):
            images.mask(view, folder / "masks" / f"{images.names[view]}.png")
    for point, elements in enumerate(tracks):
        color = np.full(3, 128, np.uint8) if tracked.colors is None else tracked.colors[point]
        if len(elements) >= 2 or points is None:
            reconstruction.add_point3D(tracked.positions[point], pycolmap.Track(elements), color)
    (folder / "sparse" / "0").mkdir(parents=True)
    (reconstruction.write_binary if binary else reconstruction.write_text)(str(folder / "sparse" / "0"))
    return folder


def _shown(scene: Scene, view: int, tracked: TrackedPoints, candidates: np.ndarray) -> tuple[list[int], np.ndarray]:
    """Those of the candidates that lie in the image of a view, and (K, 2) where."""
    camera, places = scene.camera(view), torch.from_numpy(tracked.positions[candidates])
    pixels, depth = project(transform_points(invert(scene.scene_to_world), places), camera)
    inside = in_frame(pixels, depth, camera).numpy()
    return candidates[inside].tolist(), pixels.numpy()[inside]


def _warn_of_skew(scene: Scene) -> None:
    lost = {}
    for view, name in enumerate(scene.names):
        (_, skew, _), (_, fy, _), _ = scene.intrinsics[view].tolist()
        if (pixels := abs(skew) * scene.sizes[view][1] / 2 / fy) > _SKEW_SEEN:
            lost[name] = pixels
    if lost:
        warn_of(
            f"{scene.source}: {len(lost)} cameras have a skew of up to {max(lost.values()):.2g} pixels, which COLMAP's have not",
            list(lost),
        )


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


LAYOUTS: dict[str, Callable[..., Path]] = {
    "idr": write_idr,
    "colmap": write_colmap,
    "transforms": write_transforms,
}
