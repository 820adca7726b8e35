"""Reader of `transforms.json`: NeRF's synthetic scenes, and captures in the format of instant-ngp, nerfstudio and Neuralangelo.

SCENE/transforms_train.json   (or transforms.json) camera_angle_x, or fl_x fl_y cx cy w h; frames with file_path
                              (with or without its ending) and transform_matrix (camera to world, OpenGL axes)
SCENE/train/r_0.png           RGBA: the alpha channel is the mask, unless mask_path or SCENE/masks/ give another
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from neus.errors import InputError, warn_of
from neus.geometry.rigid import rigid_poses
from neus.scenes.find_files import MAX_MISSING_FRACTION, ImageFolder, find_images
from neus.scenes.headers import read_header
from neus.scenes.masks import folder_of_masks, outlines, outlines_in
from neus.scenes.point_files import read_point_file
from neus.scenes.region import Region, placed, region_from_axes
from neus.scenes.region_from_masks import region_from_masks
from neus.scenes.region_from_points import region_from_points, region_of_all_points
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from neus.scenes.selection import ALL_VIEWS, Selection
from neus.scenes.tracked_points import TrackedPoints
from neus.scenes.transforms_file import Frame, read_transforms, sphere_of, transforms_path
from neus.scenes.view_files import ALL_AT_ONCE, Loading, ViewFiles, scene_of

# OpenGL cameras look along -z with y up; here they look along +z with y down.
OPENGL_FROM_OPENCV = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
# Instant-ngp's files beside the images, whose white pixels it does not train on.
DYNAMIC_MASK = "dynamic_mask_"


def read_blender(
    folder: Path,
    split: str = "train",
    background: Sequence[float] = (1.0, 1.0, 1.0),
    scale: float | None = None,
    center: Sequence[float] | None = None,
    allow_inside: bool = False,
    selection: Selection = ALL_VIEWS,
    mask_meaning: str = "auto",
    region: str = "object",
    loading: Loading = ALL_AT_ONCE,
) -> Scene:
    """The scene that a `transforms.json` describes; its world is that of the file.

    The unit sphere is the file's own (`sphere_center`, `sphere_radius`), or is laid around the visual hull, or
    around the sparse points of `ply_file_path`, or around the point where the cameras look, as large as the images show.

    Args:
        folder: holds `transforms_<split>.json` or `transforms.json`; or one such file.
        split: train, val or test.
        background: (3,) RGB in [0, 1], on which images with alpha are laid.
        scale, center: world = scale * scene + center, both in world units; None finds them.
        allow_inside: accept cameras inside the unit sphere.
        selection: of the views.
        mask_meaning: one of `masks.MEANINGS`.
        region: `object` for what the cameras look at, `scene` for all sparse points, and then masks and the file's sphere do not count.
        loading: how the pixels are read.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.

    Warns:
        InputWarning: keys that are not used, views without image or pose, masks that are not used, repaired poses.
    """
    path = transforms_path(Path(folder), split)
    transforms, frames = read_transforms(path, split)
    chosen = selection.of([_name(frame) for frame in frames], path)
    frames, files = _complete(path, [frames[index] for index in chosen])
    names = [file.name for file in files]
    masks = _outlines(path, frames, names, mask_meaning)
    poses = rigid_poses(torch.stack([frame.matrix for frame in frames]), [frame.label for frame in frames], str(path))
    views = [
        ViewFiles(name, file, frame.intrinsics(read_header(file).size), pose @ OPENGL_FROM_OPENCV, *frame.lens())
        for name, file, frame, pose in zip(names, files, frames, poses, strict=True)
    ]
    points, problem = _points(path, transforms)
    scene = replace(scene_of(views, masks, path, "blender", background, loading=loading), points=points)
    of_file = sphere_of(transforms, path) if region == "object" else None
    sphere = (center, scale) if (center, scale) != (None, None) else of_file or (None, None)
    return checked(placed(scene, *sphere, lambda s: _found_region(s, path, region, problem)), allow_inside)


def _name(frame: Frame) -> str:
    return frame.file_path.replace("\\", "/")


def _complete(path: Path, frames: list[Frame]) -> tuple[list[Frame], list[Path]]:
    """The frames that have a pose and an image, and their images."""
    without = [frame.label for frame in frames if frame.matrix is None]
    if len(without) > MAX_MISSING_FRACTION * len(frames):
        raise InputError(
            f"{path}: {len(without)} of {len(frames)} frames have no transform_matrix; re-export the cameras."
        )
    if without:
        warn_of(f"{path}: {len(without)} of {len(frames)} frames have no transform_matrix and are left out", without)
    posed = [frame for frame in frames if frame.matrix is not None]
    files = find_images(path.parent, [frame.file_path for frame in posed], path)
    kept = [(frame, file) for frame, file in zip(posed, files, strict=True) if file is not None]
    return [frame for frame, _ in kept], [file for _, file in kept]


def _outlines(path: Path, frames: list[Frame], names: list[str], meaning: str) -> list[Path] | None:
    """The masks that the file names, or else those of SCENE/masks/, if they are outlines of the object."""
    if named := [frame.mask_path for frame in frames if frame.mask_path]:
        index = ImageFolder(path.parent, passed_over=())
        found = [index.find(frame.mask_path) if frame.mask_path else None for frame in frames]
        if meaning != "ignore" and not any(found):
            warn_of(f"{path}: none of the {len(named)} masks that mask_path names exists; restore their folder", named)
        return outlines(found, names, meaning, path)
    if (folder := folder_of_masks(path.parent)) is not None:
        return outlines_in(folder, [_name(frame) for frame in frames], meaning)
    beside = [path.parent / _name(frame) for frame in frames]
    dynamic = [f.name for image in beside for f in image.parent.glob(f"{DYNAMIC_MASK}{image.stem}.*")]
    if dynamic:
        warn_of(f"{path}: {len(dynamic)} masks of pixels to be ignored are not used", dynamic)
    return None


def _points(path: Path, transforms: dict) -> tuple[TrackedPoints | None, str]:
    """The sparse points of `ply_file_path`, and why there are none although it is given."""
    if not isinstance(name := transforms.get("ply_file_path"), str):
        return None, ""
    try:
        return read_point_file(path.parent / name.replace("\\", "/")), ""
    except InputError as error:  # the points are an extra
        return None, str(error)


def _found_region(scene: Scene, path: Path, kind: str, problem: str) -> Region:
    is_object = kind == "object"
    if is_object and scene.masks is not None and not all(mask.all() for mask in scene.masks):
        return region_from_masks(scene)
    if scene.points is not None:
        try:
            positions = torch.from_numpy(scene.points.positions)
            return (region_from_points if is_object else region_of_all_points)(scene, positions)
        except InputError as error:  # the points are an extra
            problem = str(error)
    if problem:
        warn_of(f"{path}: the points of ply_file_path do not give the region of interest", [problem[:160]])
    return region_from_axes(scene)
