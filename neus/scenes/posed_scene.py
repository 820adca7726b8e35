"""The one way from posed images to a scene: which views, which files, lens distortion, masks, size and region of interest."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import torch
from torch import Tensor

from neus.errors import InputError, warn_of
from neus.geometry.rigid import rigid_poses
from neus.scenes.downscale import downscale_factor
from neus.scenes.find_files import find_images, without_ending
from neus.scenes.headers import read_header
from neus.scenes.images import IMAGE_SUFFIXES
from neus.scenes.masks import outlines, outlines_in
from neus.scenes.posed_images import IMAGE_FOLDERS, MASK_FOLDERS, SUGGESTION, PosedImage, PosedImages, image_folder
from neus.scenes.region import Region, placed, region_from_axes
from neus.scenes.region_from_masks import region_from_masks
from neus.scenes.region_from_points import region_from_points, region_of_all_points
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from neus.scenes.selection import ALL_VIEWS, Selection
from neus.scenes.tracked_points import reliable_positions
from neus.scenes.view_files import ALL_AT_ONCE, Loading, ViewFiles, scene_of


def scene_of_posed(
    posed: PosedImages,
    layout: str,
    place: Path,
    center: Sequence[float] | None = None,
    radius: float | None = None,
    allow_inside: bool = False,
    background: Sequence[float] = (1.0, 1.0, 1.0),
    selection: Selection = ALL_VIEWS,
    mask_meaning: str = "auto",
    images: str = "",
    region: str = "object",
    loading: Loading = ALL_AT_ONCE,
) -> Scene:
    """The scene of posed images, lens distortion taken out; its world is that of the camera file.

    The unit sphere is the file's own or is laid around the visual hull, around the sparse points that the cameras look at, or
    around the point where they look.

    Args:
        posed: as a reader parsed it.
        layout: for `Scene.format`.
        place: what the user named, the folder or the camera file, for `Scene.source`: the scene is read again from there.
        center, radius: the region of interest in world units; None finds it.
        allow_inside, background, selection, mask_meaning, images, region, loading: as for `colmap.read_colmap`.

    Raises:
        InputError: anything missing, damaged or contradictory, with its name.

    Warns:
        InputWarning: images that do not exist or are found by another name, repaired poses, masks that are not used.
    """
    if not posed.images:
        raise InputError(f"{posed.source}: no camera with a pose in it; reconstruct the scene and {SUGGESTION}.")
    chosen = selection.of([image.name for image in posed.images], posed.source)
    files = _files(posed, chosen, images)
    kept = [(view, file) for view, file in zip(chosen, files, strict=True) if file is not None]
    chosen_images = [replace(posed.images[view], image=file) for view, file in kept]
    names = [_name(image, posed.folder, images) for image in chosen_images]
    masks = _masks(posed, chosen_images, names, mask_meaning)
    poses = rigid_poses(
        torch.stack([_finite(image, posed.source) for image in chosen_images]), names, str(posed.source)
    )
    views = [_view(*view) for view in zip(names, chosen_images, poses, strict=True)]
    if not images:
        views, loading = _smaller_copies(views, chosen_images, posed.folder, loading)
    points = None if posed.points is None else posed.points.subset([view for view, _ in kept])
    scene = replace(
        scene_of(views, masks, place, layout, background, loading=loading),
        points=points,
        up=posed.up,
        metres=posed.metres,
    )
    of_file = posed.region if region == "object" else None
    sphere = (center, radius) if (center, radius) != (None, None) else of_file or (None, None)
    return checked(placed(scene, *sphere, lambda s: _found_region(s, posed, region)), allow_inside)


def _files(posed: PosedImages, chosen: Sequence[int], images: str) -> list[Path | None]:
    """The file of each chosen image, None where there is none."""
    if all(posed.images[view].image is not None for view in chosen):
        return [posed.images[view].image for view in chosen]
    names = [posed.images[view].name for view in chosen]
    as_written = not images and _is_image(posed.folder / names[0].replace("\\", "/"))
    folder = posed.folder if as_written else image_folder(posed.folder, images)
    found = find_images(folder, names, posed.source)
    known = [*(image.name for image in posed.images), *posed.without_pose]
    place = image_folder(posed.folder, images)
    if place != posed.folder:
        _warn_of_unknown(place, known, {file for file in found if file is not None}, posed.source)
    return found


def _warn_of_unknown(folder: Path, names: Sequence[str], used: set[Path], source: Path) -> None:
    """Names the images of a folder that no camera has, by their paths or by the last parts of these."""
    known = {_without_ending(name) for name in names}
    last_parts = {tail for name in known for tail in _tails(name)}
    files = {f for f in folder.rglob("*") if f.suffix.lower() in IMAGE_SUFFIXES and f.name[0] != "."}
    left = [f.relative_to(folder).as_posix() for f in files - used]
    left = [
        name for name in left if (path := _without_ending(name)) not in last_parts and not known & set(_tails(path))
    ]
    if left:
        warn_of(f"{folder}: {len(left)} images have no pose in {source} and are passed over", sorted(left))


def _without_ending(name: str) -> str:
    return str(without_ending(PurePosixPath(name.replace("\\", "/")))).casefold()


def _tails(name: str) -> list[str]:
    """A path and its last parts, ever fewer."""
    parts = PurePosixPath(name).parts
    return ["/".join(parts[start:]) for start in range(len(parts))]


def _view(name: str, image: PosedImage, pose: Tensor) -> ViewFiles:
    if image.problem:
        raise InputError(f"{image.image}: {image.problem}")
    size = read_header(image.image).size
    return ViewFiles(name, image.image, image.intrinsics(size), pose, image.model, image.coefficients)


def _smaller_copies(
    views: list[ViewFiles], images: Sequence[PosedImage], folder: Path, loading: Loading
) -> tuple[list[ViewFiles], Loading]:
    """The views with the files of images_2/, images_4/ or images_8/ beside images/, where it holds all of the requested size."""
    sizes = [read_header(view.image).size for view in views]
    factor, place = downscale_factor(loading.downscale, sizes), image_folder(folder)
    if (
        factor == 1
        or place == folder
        or not all(isinstance(v.image, Path) and v.image.is_relative_to(place) for v in views)
    ):
        return views, loading
    beside = place.with_name(f"{place.name}_{factor}")
    files = [beside / view.image.relative_to(place) for view in views]
    if not all(file.is_file() for file in files):
        return views, loading
    for file, size in zip(files, sizes, strict=True):
        if any(abs(found - side / factor) > 1.0 for found, side in zip(read_header(file).size, size, strict=True)):
            return views, loading  # something else by that name
    copies = [
        replace(_view(view.name, replace(image, image=file), view.camera_to_world), original=view.image)
        for view, image, file in zip(views, images, files, strict=True)
    ]
    return copies, replace(loading, downscale=1)


def _is_image(path: Path) -> bool:
    return path.is_file() or any(path.with_name(path.name + ending).is_file() for ending in IMAGE_SUFFIXES)


def _name(image: PosedImage, folder: Path, images: str) -> str:
    """Of the view: the path within the folder of images that its camera has, or that of its file where the camera's is none."""
    path = PurePosixPath(image.name.replace("\\", "/"))
    is_of_here = not path.is_absolute() and ".." not in path.parts and ":" not in path.parts[0]
    if not (is_of_here and path.suffix.lower() in IMAGE_SUFFIXES):
        if not isinstance(image.image, Path) or not image.image.is_relative_to(
            folder
        ):  # in an archive, or somewhere else
            return str(path)
        path = PurePosixPath(image.image.relative_to(folder).as_posix())
    return "/".join(path.parts[1:] if len(path.parts) > 1 and path.parts[0] in (*IMAGE_FOLDERS, images) else path.parts)


def _masks(posed: PosedImages, images: Sequence[PosedImage], names: Sequence[str], meaning: str) -> list[Path] | None:
    """The masks that the file names, or else those of masks/, if they are outlines of the object."""
    if any(image.mask is not None for image in images):
        return outlines([image.mask for image in images], names, meaning, posed.source)
    folder = next((posed.folder / name for name in MASK_FOLDERS if (posed.folder / name).is_dir()), None)
    return None if folder is None else outlines_in(folder, names, meaning)


def _finite(image: PosedImage, source: Path) -> Tensor:
    if not torch.isfinite(image.camera_to_world).all():
        raise InputError(f"{source}: the pose of {image.name} holds NaN or infinity; {SUGGESTION}.")
    return image.camera_to_world


def _found_region(scene: Scene, posed: PosedImages, kind: str) -> Region:
    is_object, points = kind == "object", posed.points
    has_points = points is not None and len(points) > 0
    has_outlines = is_object and posed.region_from_masks and scene.masks is not None
    if has_outlines and not all(mask.all() for mask in scene.masks):
        return region_from_masks(scene)
    if has_points:
        positions = torch.from_numpy(reliable_positions(points.positions, points.lengths))
        return (region_from_points if is_object else region_of_all_points)(scene, positions)
    return region_from_axes(scene)
