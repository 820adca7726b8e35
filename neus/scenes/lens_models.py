"""Lenses that OpenCV's polynomial does not describe: fisheyes, divisions, thin prisms, by pycolmap; and two that COLMAP has not."""

import numpy as np
import pycolmap

from neus.errors import InputError

# The polynomial of OpenCV, whose coefficients need no model of COLMAP's.
OPENCV = "OPENCV"
# COLMAP's model with the same formula and order of coefficients.
FULL_OPENCV = "FULL_OPENCV"
# Brown's polynomial with one more term, as Metashape and RealityCapture have it: k1, k2, p1, p2, k3 as in OpenCV, and k4 of r^8.
BROWN = "BROWN"
# One coefficient k of the point as it is shown, not as it would be without the lens: (x, y) = (1 + k r^2) (x, y)_shown (VisualSFM).
RADIAL_OF_SHOWN = "RADIAL_OF_SHOWN"
# Newton's method doubles the digits with each step: from a tenth off to all of float64 in six.
NEWTON_STEPS = 10
# A pinhole camera shows no more than this tangent to each side (56 degrees): beyond it a fisheye has few pixels for many.
WIDEST_TANGENT = 1.5
# What of OpenCV's polynomial beyond the image may be repeated at the border, in parts of the longer side: OpenCV tests nine points of it.
BORDER = 1e-3
# Steps in which the borders of the pinhole image are found, and points along each border.
STEPS, PLACES = 300, 33


def extra_parameters(camera: pycolmap.Camera) -> tuple[float, ...]:
    """The parameters of a camera of COLMAP that are neither focal lengths nor principal point.

    Raises:
        InputError: a panorama, which no pinhole camera shows.

    >>> extra_parameters(pycolmap.Camera(model="RADIAL", width=4, height=3, params=[2, 2, 1.5, 0.1, 0.2]))
    (0.1, 0.2)
    """
    if not camera.is_perspective():
        raise InputError(
            f"camera model {camera.model_name}: a panorama, expected a perspective or fisheye camera; cut it into perspective images."
        )
    return tuple(float(camera.params[index]) for index in camera.extra_params_idxs())


def distorted(model: str, parameters: tuple[float, ...], points: np.ndarray) -> np.ndarray:
    """(P, 2) where on the plane at distance 1, before focal length and principal point, a lens shows points (P, 2) of that plane.

    Args:
        model: BROWN, RADIAL_OF_SHOWN or COLMAP's name.
        parameters: those of `extra_parameters`, or as said above.
        points: (P, 2) x and y at depth 1, x right, y down.

    >>> distorted("SIMPLE_FISHEYE", (), np.array([[1.0, 0.0]])).round(4)  # an angle of 45 degrees
    array([[0.7854, 0.    ]])
    """
    if model == BROWN:
        return _brown(parameters, points)
    if model == RADIAL_OF_SHOWN:
        return _radial_of_shown(parameters[0], points)
    camera = pycolmap.Camera.create_from_model_name(1, model, 1.0, 1, 1)
    unit = np.array(camera.params)
    unit[camera.focal_length_idxs()], unit[camera.principal_point_idxs()] = 1.0, 0.0
    unit[camera.extra_params_idxs()] = parameters
    camera.params = unit
    return np.array(camera.img_from_cam(np.column_stack([points, np.ones(len(points))])))


def pinhole_within(model: str, parameters: tuple[float, ...], matrix: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(3, 3) K of a pinhole camera of the same pose and size all of whose pixels lie in the old image.

    The largest extent along each half axis, then all four shrunk by one factor until the whole border is inside, and before the place
    where the distortion folds back.

    Args:
        model, parameters: of the lens.
        matrix: (3, 3) its K, pixel centres at integers.
        size: width and height of the image.

    Raises:
        InputError: the distortion folds back before it reaches the image's border.
    """
    (left, top, right, bottom), fold = _extents(model, parameters, matrix, size)
    along = np.linspace(0.0, 1.0, PLACES)
    x, y = left + (right - left) * along, top + (bottom - top) * along
    border = np.concatenate(
        [np.column_stack([x, np.full(PLACES, edge)]) for edge in (top, bottom)]
        + [np.column_stack([np.full(PLACES, edge), y]) for edge in (left, right)]
    )
    farthest = np.linalg.norm(border, axis=1).max()
    factors = np.linspace(1.0, 1.0 / STEPS, STEPS)
    fits = (f for f in factors if f * farthest < fold and _inside(model, parameters, matrix, size, f * border).all())
    left, top, right, bottom = next(fits, factors[-1]) * np.array([left, top, right, bottom])
    focal = np.array([size[0] / (right - left), size[1] / (bottom - top)])
    # Borders lie half a pixel beyond the centres of the outermost pixels.
    return np.array([[focal[0], 0.0, -left * focal[0] - 0.5], [0.0, focal[1], -top * focal[1] - 0.5], [0.0, 0.0, 1.0]])


def shows_only(
    parameters: tuple[float, ...], matrix: np.ndarray, size: tuple[int, int], pinhole: np.ndarray
) -> bool:
    """Whether all that a pinhole camera of the same size shows lies in the image of a lens of OpenCV's, and before it folds back.

    Args:
        parameters: k1, k2, p1, p2, k3, k4, k5, k6.
        matrix, pinhole: (3, 3) K of the lens and of the pinhole camera, pixel centres at integers.
        size: width and height of both.

    Raises:
        InputError: as `pinhole_within`.
    """
    _, fold = _extents(FULL_OPENCV, parameters, matrix, size)
    x, y = (np.linspace(-0.5, side - 0.5, PLACES) for side in size)
    border = np.concatenate(
        [np.column_stack([x, np.full(PLACES, edge)]) for edge in y[[0, -1]]]
        + [np.column_stack([np.full(PLACES, edge), y]) for edge in x[[0, -1]]]
    )
    plane = (border - pinhole[:2, 2]) / pinhole[[0, 1], [0, 1]]
    if np.linalg.norm(plane, axis=1).max() >= fold:
        return False
    return bool(_inside(FULL_OPENCV, parameters, matrix, size, plane, BORDER * max(size)).all())


def maps_from(
    model: str, parameters: tuple[float, ...], matrix: np.ndarray, pinhole: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) float32 columns and rows of the old image for each pixel of a pinhole camera.

    Args:
        model, parameters, matrix: the lens and its K (3, 3), pixel centres at integers.
        pinhole: (3, 3) K of the pinhole camera, likewise.
        size: width and height of the pinhole camera's image.
    """
    x = (np.arange(size[0]) - pinhole[0, 2]) / pinhole[0, 0]
    columns, rows = np.empty((size[1], size[0]), np.float32), np.empty((size[1], size[0]), np.float32)
    for row in range(size[1]):  # row by row: points take many times the memory of their pixels
        y = np.full(size[0], (row - pinhole[1, 2]) / pinhole[1, 1])
        columns[row], rows[row] = _pixels(matrix, distorted(model, parameters, np.column_stack([x, y]))).T
    return columns, rows


def _brown(parameters: tuple[float, ...], points: np.ndarray) -> np.ndarray:
    k1, k2, p1, p2, k3, k4 = parameters
    r2 = (points * points).sum(axis=1, keepdims=True)
    tangential = 2.0 * points * (points @ [[p2], [p1]]) + r2 * np.array([p2, p1])
    return points * (1.0 + r2 * (k1 + r2 * (k2 + r2 * (k3 + r2 * k4)))) + tangential


def _radial_of_shown(k: float, points: np.ndarray) -> np.ndarray:
    """Infinite where the lens shows nothing: k below 0 has a largest angle of view."""
    wanted = np.linalg.norm(points, axis=1)
    shown = wanted.copy() if k >= 0.0 else np.minimum(wanted, (-3.0 * k) ** -0.5 * 0.999)
    for _ in range(NEWTON_STEPS):
        shown = shown - (shown + k * shown**3 - wanted) / np.maximum(1.0 + 3.0 * k * shown**2, 1e-12)
    is_shown = np.isclose(shown + k * shown**3, wanted) & (1.0 + 3.0 * k * shown**2 > 0.0)
    factors = np.divide(shown, wanted, out=np.ones_like(wanted), where=wanted > 0.0)
    return points * np.where(is_shown, factors, np.inf)[:, None]


def _pixels(matrix: np.ndarray, plane: np.ndarray) -> np.ndarray:
    return plane @ matrix[:2, :2].T + matrix[:2, 2]


def _inside(
    model: str, parameters: tuple[float, ...], matrix: np.ndarray, size: tuple[int, int], points: np.ndarray, margin: float = 0.0
) -> np.ndarray:
    """(P,) bool: whether the lens shows points (P, 2) of the plane at distance 1 within the image, enlarged by a margin of pixels."""
    pixels = _pixels(matrix, distorted(model, parameters, points))
    return ((pixels >= -0.5 - margin) & (pixels <= np.array(size) - 0.5 + margin)).all(axis=1)


def _extents(model: str, parameters: tuple[float, ...], matrix: np.ndarray, size: tuple[int, int]) -> tuple[np.ndarray, float]:
    """x or y at depth 1 up to which the image reaches to the left, top, right and bottom, and `_fold`; InputError if that is nearer."""
    ways = np.array([[-1.0, 0.0], [0.0, -1.0], [1.0, 0.0], [0.0, 1.0]])
    tangents = WIDEST_TANGENT * np.arange(1, STEPS + 1) / STEPS
    extents = np.array([tangents[_n_first(_inside(model, parameters, matrix, size, tangents[:, None] * way)) - 1] for way in ways])
    fold = _fold(model, parameters)
    if fold < extents.max():
        raise InputError(
            f"its lens ({model} {', '.join(f'{p:g}' for p in parameters)}) folds back {np.degrees(np.arctan(fold)):.0f} degrees from the "
            "optical axis, and the image reaches farther; expected coefficients that hold up to its border. Calibrate again, a wide lens "
            "with a fisheye model, or undistort the images first."
        )
    return extents * ways.sum(axis=1), fold


def _fold(model: str, parameters: tuple[float, ...]) -> float:
    """The tangent of the angle from which on a lens shows nearer to the middle what lies farther out; infinity if it never does."""
    tangents = np.sqrt(2.0) * WIDEST_TANGENT * np.arange(STEPS + 1) / STEPS
    ways = [np.array([np.cos(angle), np.sin(angle)]) for angle in np.pi / 4 * np.arange(8)]
    grows = [np.diff(np.linalg.norm(distorted(model, parameters, tangents[:, None] * way), axis=1)) > 0.0 for way in ways]
    all_grow = np.logical_and.reduce(grows)
    return np.inf if all_grow.all() else float(tangents[all_grow.argmin()])


def _n_first(inside: np.ndarray) -> int:
    """How many come before the first that is not inside, at least one."""
    return max(1, len(inside) if inside.all() else int(inside.argmin()))
