"""COLMAP's models of a capture: which images count, which model is best, and the last adjustment of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from neus.scenes.images import natural_order

if TYPE_CHECKING:
    import pycolmap

# An image counts with so many triangulated points: true ones had 40 or more on eight data sets, false ones 0 to 19.
FEWEST_POINTS = 30
# So many of them a third image must see, since two images agree about any point on their epipolar lines: twice the six that give a
# pose and a focal length.
FEWEST_CONFIRMED = 12
# With fewer views of a camera than this its principal point is left in the middle.
VIEWS_FOR_PRINCIPAL_POINT = 6
# A refined principal point farther than this from the middle, in longer sides of the image, is a fit of something else.
MOST_OFF_CENTER = 0.05


def model_folders(folder: Path) -> list[Path]:
    """The folders of the models that a mapping has left, in order of their numbers."""
    return sorted((f for f in folder.glob("*") if (f / "images.bin").is_file()), key=natural_order)


def points_of_images(model: "pycolmap.Reconstruction") -> dict[str, int]:
    """The number of triangulated points of each posed image, by name; where a third image sees too few of them, those alone."""
    lengths = {number: point.track.length() for number, point in model.points3D.items()}
    counts = {}
    for image in model.images.values():
        if image.has_pose:
            tracks = [lengths[point.point3D_id] for point in image.points2D if point.has_point3D()]
            n_confirmed = sum(length > 2 for length in tracks)
            counts[image.name] = len(tracks) if n_confirmed >= FEWEST_CONFIRMED else n_confirmed
    return counts


def counting(n_points: Mapping[str, int]) -> list[str]:
    """The names of the images that count."""
    return sorted(name for name, count in n_points.items() if count >= FEWEST_POINTS)


def best_model(folder: Path) -> tuple[Path | None, dict[str, int]]:
    """The model with most images that count (of equal ones that with most points), and the points of its images; None without any."""
    import pycolmap

    best, best_points, best_score = None, {}, (0, 0)
    for place in model_folders(folder):
        n_points = points_of_images(pycolmap.Reconstruction(place))
        score = len(counting(n_points)), sum(n_points.values())
        if score > best_score:
            best, best_points, best_score = place, n_points, score
    return best, best_points


def without_others(model: "pycolmap.Reconstruction", names: set[str]) -> None:
    """Takes the pose from all images but those named."""
    for image in list(model.images.values()):
        if image.has_pose and image.name not in names:
            model.deregister_frame(image.frame_id)


def adjust(model: "pycolmap.Reconstruction", n_threads: int) -> bool:
    """Bundle adjustment of everything, with the principal points where the points tell them; whether these were refined.

    A principal point fixed in the middle turns all poses (DTU's scan 65: by 0.7 degrees; refined, 0.2), one that is not determined
    takes over what is the poses'. Each half of the points gives one: where d lies between both, the one of all points has an error
    of about d / 2 (twice the variance for a half, and the sum of both variances for the difference), so it is refined where it is
    off the middle by more than d, twice that error.
    """
    whole, *halves = (_principal_points(model, part, n_threads) for part in (None, 0, 1))
    n_views = dict.fromkeys(model.cameras, 0)
    for image in model.images.values():
        n_views[image.camera_id] += image.has_pose
    refines = True
    for number in (number for number, count in n_views.items() if count):
        camera = model.cameras[number]
        off = np.linalg.norm(whole[number] - (camera.width / 2, camera.height / 2))
        apart = np.linalg.norm(halves[0][number] - halves[1][number])
        is_told = apart < off < MOST_OFF_CENTER * max(camera.width, camera.height)
        refines &= bool(is_told and n_views[number] >= VIEWS_FOR_PRINCIPAL_POINT)
    _adjust(model, refines, n_threads)
    return refines


def _principal_points(model: "pycolmap.Reconstruction", part: int | None, n_threads: int) -> dict[int, np.ndarray]:
    """The principal point (2,) of each camera by all points, or by every second one, beginning with the first or the second."""
    import pycolmap

    copy = pycolmap.Reconstruction(model)
    if part is not None:
        for number in sorted(copy.point3D_ids())[1 - part :: 2]:
            copy.delete_point3D(number)
    _adjust(copy, True, n_threads)
    return {n: np.array([camera.principal_point_x, camera.principal_point_y]) for n, camera in copy.cameras.items()}


def _adjust(model: "pycolmap.Reconstruction", with_principal_points: bool, n_threads: int) -> None:
    import pycolmap

    options = pycolmap.BundleAdjustmentOptions(refine_principal_point=with_principal_points, print_summary=False)
    options.ceres.solver_options.num_threads = n_threads
    pycolmap.bundle_adjustment(model, options)


def resize(model: "pycolmap.Reconstruction", sizes: Mapping[str, tuple[int, int]]) -> None:
    """Makes cameras and keypoints those of the full images, of which the model's were smaller copies.

    Args:
        model: of the copies.
        sizes: width and height of the full image, by name.
    """
    done = set()
    for image in model.images.values():
        camera, (width, height) = model.cameras[image.camera_id], sizes[image.name]
        if image.camera_id not in done:
            done.add(image.camera_id)
            factors = width / camera.width, height / camera.height
            camera.rescale(width, height)
        _stretch(image, factors)


def _stretch(image: "pycolmap.Image", factors: tuple[float, float]) -> None:
    for point in image.points2D:
        point.xy = point.xy * factors
