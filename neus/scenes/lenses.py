"""From the camera that a file describes to the pinhole camera of its image: another size, a distorting lens."""

import cv2
import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError
from neus.scenes.lens_models import OPENCV, maps_from, pinhole_within

# OpenCV, MVSNet and NeuS count pixel centres at integers, this project at +0.5: the same rays need the principal point
# moved by this much.
HALF_PIXEL = 0.5
# Photographs are made smaller by hand, which rounds their sides; more than this is another crop, not another size.
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


def undistorted(
    image: np.ndarray,
    mask: np.ndarray | None,
    intrinsics: Tensor,
    coefficients: tuple[float, ...],
    model: str = OPENCV,
) -> tuple[np.ndarray, np.ndarray | None, Tensor]:
    """The image that a pinhole camera of the same pose and size would have taken, its mask and its intrinsics.

    The new intrinsics are those of OpenCV by which each new pixel lies in the old image: no black borders.

    Args:
        image, mask: (H, W, 3) uint8 and (H, W) bool or None.
        intrinsics: (3, 3) float64 K, pixel centres at +0.5.
        coefficients: k1, k2, p1, p2, k3, k4, k5, k6 as OpenCV defines them, none or all zero giving back what was given; or the
            parameters of another model.
        model: OPENCV, or COLMAP's name of another one (`lens_models`).

    Returns:
        image, mask and (3, 3) intrinsics, pixel centres at +0.5.
    """
    if model == OPENCV and not np.any(coefficients):
        return image, mask, intrinsics
    size = (image.shape[1], image.shape[0])
    to_centers = np.zeros((3, 3))
    to_centers[:2, 2] = HALF_PIXEL
    lens = intrinsics.double().numpy() - to_centers
    if model == OPENCV:
        pinhole, _ = cv2.getOptimalNewCameraMatrix(lens, np.array(coefficients), size, 0.0)
        columns, rows = cv2.initUndistortRectifyMap(lens, np.array(coefficients), None, pinhole, size, cv2.CV_32FC1)
    else:
        pinhole = pinhole_within(model, coefficients, lens, size)
        columns, rows = maps_from(model, coefficients, lens, pinhole, size)
    image = cv2.remap(image, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if mask is not None:
        mask = cv2.remap(mask.astype(np.uint8), columns, rows, cv2.INTER_NEAREST) > 0
    return image, mask, torch.from_numpy(pinhole + to_centers)
