"""From the camera that a file describes to the pinhole camera of its image: another size, a distorting lens."""

import threading
from collections.abc import Callable, Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.lens_models import FULL_OPENCV, OPENCV, maps_from, pinhole_within, shows_only

# OpenCV, MVSNet and NeuS count pixel centres at integers, this project at +0.5: the same rays need the principal point
# moved by this much.
HALF_PIXEL = 0.5
_TO_CENTERS = np.array([[0.0, 0.0, HALF_PIXEL], [0.0, 0.0, HALF_PIXEL], [0.0, 0.0, 0.0]])
# Each takes 8 bytes a pixel for its maps.
CAMERAS_KEPT = 2
# Images are made smaller by hand, which rounds their sides; more than this is another crop, not another size.
MAX_ROUNDING = 1.0


def intrinsics_at_size(intrinsics: Tensor, described: tuple[int, int], found: tuple[int, int], where: str) -> Tensor:
    """Intrinsics for an image that was made smaller or larger than the camera file says.

    Args:
        intrinsics: (3, 3) K, pixels of the described size.
        described, found: width and height of the camera and of its image.
        where: the image, for messages.

    Raises:
        InputError: the sizes differ by more than one factor, or a side has no pixels.

    >>> intrinsics_at_size(torch.diag(torch.tensor([80.0, 80.0, 1.0])), (40, 30), (20, 15), "a.png").diagonal()
    tensor([40., 40.,  1.])
    """
    width, height = described
    if min(width, height) <= 0:
        raise InputError(f"{where}: its camera is {width}x{height} pixels, expected positive numbers; re-export it.")
    stretch_x, stretch_y = found[0] / width, found[1] / height
    is_uniform = abs(found[1] - height * stretch_x) <= MAX_ROUNDING or abs(found[0] - width * stretch_y) <= MAX_ROUNDING
    if not is_uniform:
        raise InputError(
            f"{where}: the image is {found[0]}x{found[1]} pixels but its camera {width}x{height}; "
            "expected the same size or both sides scaled by one factor. Use the images the cameras were made from."
        )
    return torch.diag(torch.tensor([stretch_x, stretch_y, 1.0])).to(intrinsics) @ intrinsics


def pinhole_intrinsics(
    intrinsics: Tensor, coefficients: Sequence[float], size: tuple[int, int], model: str = OPENCV
) -> Tensor:
    """(3, 3) K of the pinhole camera of the same pose and size whose every pixel lies in the image of the lens: no black borders.

    Args:
        intrinsics: (3, 3) float64 K of the lens, pixel centres at +0.5.
        coefficients: k1, k2, p1, p2, k3, k4, k5, k6 as OpenCV defines them, none or all zero giving back the same K; or the
            parameters of another model.
        size: width and height.
        model: OPENCV, or COLMAP's name of another one (`lens_models`).

    Raises:
        InputError: the distortion folds back within the image.
    """
    if is_pinhole(coefficients, model):
        return intrinsics
    pinhole = _pinhole(_key(intrinsics), tuple(map(float, coefficients)), size, model)
    return torch.from_numpy(pinhole + _TO_CENTERS)


def undistorted(
    pixels: np.ndarray,
    intrinsics: Tensor,
    coefficients: Sequence[float],
    model: str = OPENCV,
    size: tuple[int, int] | None = None,
) -> np.ndarray:
    """What the camera of `pinhole_intrinsics` would have taken.

    The maps of the last few cameras are kept, since most scenes have one for all images.

    Args:
        pixels: (H, W, C) uint8, interpolated linearly, or (H, W) bool, of which the nearest is taken.
        intrinsics, coefficients, model: of the lens, as for `pinhole_intrinsics`.
        size: width and height of the image that these belong to, if the pixels were resized since; the result then belongs to the
            pinhole camera of that image, resized as they are.
    """
    if is_pinhole(coefficients, model):
        return pixels
    found = (pixels.shape[1], pixels.shape[0])
    columns, rows = _maps_of(_key(intrinsics), tuple(map(float, coefficients)), size or found, model, found)()
    if pixels.dtype == bool:
        return cv2.remap(pixels.astype(np.uint8), columns, rows, cv2.INTER_NEAREST) > 0
    return cv2.remap(pixels, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def is_pinhole(coefficients: Sequence[float], model: str) -> bool:
    """Whether a lens with these coefficients distorts nothing."""
    return model == OPENCV and not np.any(coefficients)


def _key(intrinsics: Tensor) -> tuple[float, ...]:
    return tuple(intrinsics.double().reshape(-1).tolist())


@lru_cache(maxsize=1024)
def _pinhole(key: tuple[float, ...], coefficients: tuple[float, ...], size: tuple[int, int], model: str) -> np.ndarray:
    """(3, 3) K for pixel centres at integers."""
    lens = np.reshape(key, (3, 3)) - _TO_CENTERS
    if model == OPENCV:
        pinhole = cv2.getOptimalNewCameraMatrix(lens, np.array(coefficients), size, 0.0)[0]
        eight = (*coefficients, *[0.0] * (8 - len(coefficients)))
        # OpenCV looks at nine points of the border, and inverts a strong lens where it has no inverse.
        return pinhole if shows_only(eight, lens, size, pinhole) else pinhole_within(FULL_OPENCV, eight, lens, size)
    return pinhole_within(model, coefficients, lens, size)


@lru_cache(maxsize=CAMERAS_KEPT)
def _maps_of(
    key: tuple[float, ...], coefficients: tuple[float, ...], size: tuple[int, int], model: str, found: tuple[int, int]
) -> Callable[[], tuple[np.ndarray, np.ndarray]]:
    """Gives the columns and rows of the lens's image, (H, W) float32 each, computed by the first thread that needs them."""
    lock, maps = threading.Lock(), []

    def computed() -> tuple[np.ndarray, np.ndarray]:
        with lock:
            if not maps:
                shrink = np.diag([found[0] / size[0], found[1] / size[1], 1.0])
                pinhole = shrink @ (_pinhole(key, coefficients, size, model) + _TO_CENTERS) - _TO_CENTERS
                lens = shrink @ np.reshape(key, (3, 3)) - _TO_CENTERS
                if model == OPENCV:
                    distortion = np.array(coefficients)
                    maps.append(cv2.initUndistortRectifyMap(lens, distortion, None, pinhole, found, cv2.CV_32FC1))
                else:
                    maps.append(maps_from(model, coefficients, lens, pinhole, found))
        return maps[0]

    return computed
