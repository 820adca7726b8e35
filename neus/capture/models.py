"""COLMAP's models of a capture: which images count, which model is best, and the last adjustment of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neus.scenes.images import natural_order

if TYPE_CHECKING:
    import pycolmap

# An image counts with so many triangulated points: true ones had 40 or more on eight data sets, false ones 0 to 19.
FEWEST_POINTS = 30
# A principal point is refined with so many views of each camera; with fewer it takes over what is the poses'.
VIEWS_FOR_PRINCIPAL_POINT = 20
# A refined principal point farther than this from the middle, in longer sides of the image, is a fit of something else.
MOST_OFF_CENTER = 0.05


def model_folders(folder: Path) -> list[Path]:
    """The folders of the models that a mapping has left, in order of their numbers."""
    return sorted((f for f in folder.glob("*") if (f / "images.bin").is_file()), key=natural_order)


def points_of_images(model: "pycolmap.Reconstruction") -> dict[str, int]:
    """The number of triangulated points of each posed image, by name."""
    return {image.name: image.num_points3D for image in model.images.values() if image.has_pose}


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
    """Bundle adjustment of everything, with the principal points if there are views enough; whether these were refined.

    A principal point fixed in the middle turned all poses of DTU's scan 65 by 0.7 degrees; refined, it halves that.
    """
    import pycolmap

    n_views = dict.fromkeys(model.cameras, 0)
    for image in model.images.values():
        n_views[image.camera_id] += image.has_pose
    refines = all(n == 0 or n > VIEWS_FOR_PRINCIPAL_POINT for n in n_views.values())
    options = pycolmap.BundleAdjustmentOptions(refine_principal_point=refines, print_summary=False)
    options.ceres.solver_options.num_threads = n_threads
    if refines:
        before = {number: list(camera.params) for number, camera in model.cameras.items()}
        pycolmap.bundle_adjustment(model, options)
        if all(_is_centered(camera) for number, camera in model.cameras.items() if n_views[number]):
            return True
        for number, params in before.items():
            model.cameras[number].params = params
        options.refine_principal_point = False
    pycolmap.bundle_adjustment(model, options)
    return False


def _is_centered(camera: "pycolmap.Camera") -> bool:
    off = max(abs(camera.principal_point_x - camera.width / 2), abs(camera.principal_point_y - camera.height / 2))
    return off < MOST_OFF_CENTER * max(camera.width, camera.height)


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
