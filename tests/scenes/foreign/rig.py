"""Four cameras and a hundred points with all numbers by hand, for the files of other programs: no code of the project projects them."""

from pathlib import Path

import cv2
import numpy as np

from neus.scenes.foreign.formats import FOREIGN
from neus.scenes.lens_models import OPENCV, distorted
from neus.scenes.posed_images import PosedImage, PosedImages
from neus.scenes.readers import DatasetConfig, layout_of, read_scene
from neus.scenes.scene import Scene
from tests.conftest import ROOT

DATA = ROOT.parent / "shared" / "data"
SIZE, FOCAL, CENTER = (96, 72), 120.0, (46.3, 37.9)
MIDDLE = (48.0, 36.0)
N_VIEWS, N_POINTS = 4, 100
NAMES = [f"IMG_{view:04d}.png" for view in range(N_VIEWS)]
# An awkward place: far from the origin of the world.
TARGET = np.array([3.0, -2.0, 7.0])
POINTS = TARGET + np.random.default_rng(0).uniform(-0.6, 0.6, (N_POINTS, 3))


def _world_to_camera(view: int) -> np.ndarray:
    """(4, 4): x right, y down, z forward, from a rising spiral, each a little rolled."""
    angle = 1.5 * view + 0.3
    center = TARGET + 4.0 * np.array([np.cos(angle), np.sin(angle), 0.1 + 0.15 * view])
    z = TARGET + 0.1 * np.array([np.sin(view), 0.0, np.cos(view)]) - center
    z /= np.linalg.norm(z)
    x = np.cross(z, [0.1 * view, 0.0, 1.0])
    x /= np.linalg.norm(x)
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([x, np.cross(z, x), z])
    matrix[:3, 3] = -matrix[:3, :3] @ center
    return matrix


WORLD_TO_CAMERA = [_world_to_camera(view) for view in range(N_VIEWS)]
ROTATIONS = [matrix[:3, :3] for matrix in WORLD_TO_CAMERA]
TRANSLATIONS = [matrix[:3, 3] for matrix in WORLD_TO_CAMERA]
CENTERS = [-matrix[:3, :3].T @ matrix[:3, 3] for matrix in WORLD_TO_CAMERA]
CAMERA_TO_WORLD = [np.linalg.inv(matrix) for matrix in WORLD_TO_CAMERA]
# Of cameras that look along -z with y up.
OPENGL = [pose @ np.diag([1.0, -1.0, -1.0, 1.0]) for pose in CAMERA_TO_WORLD]


def on_plane(view: int) -> tuple[np.ndarray, np.ndarray]:
    """x and y (P,) of the points at depth 1."""
    x, y, z = ROTATIONS[view] @ POINTS.T + TRANSLATIONS[view][:, None]
    return x / z, y / z


def brown(view, focal=FOCAL, center=CENTER, k=(0.0, 0.0, 0.0), p=(0.0, 0.0), focal_y=None, skew=0.0) -> np.ndarray:
    """(P, 2) pixels by Brown's polynomial in OpenCV's order: k1, k2, k3 of r^2, r^4, r^6; p1 with 2xy in x, p2 with 2xy in y."""
    x, y = on_plane(view)
    r2 = x * x + y * y
    radial = 1 + k[0] * r2 + k[1] * r2**2 + k[2] * r2**3
    u = x * radial + 2 * p[0] * x * y + p[1] * (r2 + 2 * x * x)
    v = y * radial + p[0] * (r2 + 2 * y * y) + 2 * p[1] * x * y
    return np.stack([focal * u + skew * v + center[0], (focal_y or focal) * v + center[1]], axis=1)


def write_images(folder: Path, names=NAMES, size=SIZE) -> None:
    """Images whose red and green tell the column and the row."""
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    blue = np.full_like(x, 90.0)
    pixels = np.stack([blue, 20 + 200 * y / size[1], 20 + 200 * x / size[0]], axis=-1).round().astype(np.uint8)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name), pixels)


def pixels_of(image: PosedImage, size=SIZE, points=POINTS) -> np.ndarray:
    """(P, 2) where the record of a reader shows points, by OpenCV and COLMAP's formulas."""
    world_to_camera, matrix = np.linalg.inv(image.camera_to_world.numpy()), image.intrinsics(size).numpy()
    x, y, z = world_to_camera[:3, :3] @ points.T + world_to_camera[:3, 3:]
    assert (z > 0).all()
    plane = np.stack([x / z, y / z], axis=1)
    if image.model == OPENCV and any(image.coefficients):
        ones = np.concatenate([plane, np.ones((len(plane), 1))], axis=1)
        plane = cv2.projectPoints(ones, np.zeros(3), np.zeros(3), np.eye(3), np.array(image.coefficients))[0][:, 0]
    elif image.model != OPENCV:
        plane = distorted(image.model, image.coefficients, plane)
    return plane @ matrix[:2, :2].T + matrix[:2, 2]


def posed_of(folder: Path, name: str) -> PosedImages:
    """What the reader of a format makes of the files in a folder, found by themselves."""
    assert layout_of(folder, DatasetConfig()) == name
    return FOREIGN[name].read(FOREIGN[name].find(folder), folder)


def assert_shows(posed: PosedImages, expected: list[np.ndarray], size=SIZE) -> None:
    """Every image of a record shows the points within a hundredth of a pixel of where they are expected."""
    assert len(posed.images) == len(expected)
    for image, pixels in zip(posed.images, expected, strict=True):
        assert np.abs(pixels_of(image, size) - pixels).max() < 0.01, image.name


def assert_scene_shows(folder: Path, expected: list[np.ndarray], size=SIZE, **settings) -> Scene:
    """The pixels of the whole scene, lens distortion taken out, come from where the points are expected in the files."""
    scene = read_scene(folder, DatasetConfig(**settings))
    assert len(scene) == len(expected)
    to_world = scene.scene_to_world.numpy()
    points = (POINTS - to_world[:3, 3]) / to_world[0, 0]
    for view, pixels in enumerate(expected):
        camera = scene.camera(view)
        matrix = np.linalg.inv(camera.camera_to_scene.numpy())
        p = camera.intrinsics.numpy() @ (matrix[:3, :3] @ points.T + matrix[:3, 3:])
        at = (p[:2] / p[2]).T.astype(np.float32)
        seen = cv2.remap(scene.images[view], at[:, :1] - 0.5, at[:, 1:] - 0.5, cv2.INTER_LINEAR)[:, 0]
        found = (seen[:, :2].astype(float) - 20) / 200 * size
        inside = ((at > 1) & (at < np.array([camera.width, camera.height]) - 1)).all(axis=1)
        assert inside.sum() > 60
        # A grey level is half a pixel; levels are rounded twice.
        assert np.abs(found - pixels)[inside].max() < 0.75, view
    return scene


def matrix_text(matrix: np.ndarray) -> str:
    """Rows on lines."""
    return "\n".join(" ".join(repr(float(value)) for value in row) for row in matrix)


def quaternion(rotation: np.ndarray) -> np.ndarray:
    """(4,) w, x, y, z, by the vector about which a rotation turns."""
    values, vectors = np.linalg.eig(rotation)
    axis = np.real(vectors[:, np.argmin(np.abs(values - 1))])
    skew = np.array([rotation[2, 1] - rotation[1, 2], rotation[0, 2] - rotation[2, 0], rotation[1, 0] - rotation[0, 1]])
    angle = np.arctan2(skew @ axis, np.trace(rotation) - 1)
    return np.concatenate([[np.cos(angle / 2)], np.sin(angle / 2) * axis])


def fisheye(view: int, k=(0.0, 0.0, 0.0, 0.0), focal=FOCAL, center=CENTER) -> np.ndarray:
    """(P, 2) pixels of a fisheye: f theta (1 + k1 theta^2 + ...) along the direction of the point."""
    x, y = on_plane(view)
    r = np.hypot(x, y)
    theta = np.arctan(r)
    shown = theta * (1 + k[0] * theta**2 + k[1] * theta**4 + k[2] * theta**6 + k[3] * theta**8)
    return np.stack([focal * shown * x / r + center[0], focal * shown * y / r + center[1]], axis=1)
