"""Which image belongs to which camera of a numbered list, where people and programs count differently.

People put view 2 before view 10; IDR, VolSDF and NeuS sort names as text, 10 before 2. For unpadded numbers the cameras may have been
written in either order: matches between two images decide, by the epipolar constraint x'^T F x = 0 (Hartley & Zisserman, ch. 9).
"""

import re
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from neus.errors import InputError, InputWarning
from neus.geometry.poses import invert
from neus.scenes.images import read_rgb

# Images are reduced to this many pixels along the longer side, and so many features are matched in so many pairs.
_LAST_NUMBER = re.compile(r"(\d+)\D*$", re.ASCII)
SIDE, N_FEATURES, N_PAIRS = 640, 1000, 16
# Lowe's ratio test, the distance to the epipolar line that counts as a fit (fraction of the longer side), and the evidence it takes:
# so many matches, and so many times those that fit the other order.
RATIO, NEAR_LINE, MIN_FITTING, MIN_ADVANTAGE = 0.75, 0.004, 30, 1.5


def in_order_of_cameras(files: Sequence[Path], intrinsics: Tensor, camera_to_scene: Tensor) -> list[int]:
    """For each camera the index of its image in `files`.

    Args:
        files: V images in natural order.
        intrinsics: (V, 3, 3) float64, pixel centres at +0.5.
        camera_to_scene: (V, 4, 4) float64.

    Warns:
        InputWarning: the names have two orders and the images fit that of text, or do not decide; then the natural one is taken.
    """
    natural = list(range(len(files)))
    as_text = sorted(natural, key=lambda index: files[index].name)
    if as_text == natural:
        return natural
    n_natural, n_text = _fitting_matches(files, [natural, as_text], intrinsics, camera_to_scene)
    orders = f"as numbers ({_first(files, natural)}) and as text ({_first(files, as_text)})"
    if n_natural >= max(MIN_FITTING, MIN_ADVANTAGE * n_text):
        return natural
    if n_text >= max(MIN_FITTING, MIN_ADVANTAGE * n_natural):
        _warn(
            files,
            f"its names sort differently {orders}; the cameras fit the order of text ({n_text} matches to {n_natural})",
        )
        return as_text
    _warn(
        files,
        f"its names sort differently {orders}, and the images do not show which order the cameras have; that of numbers is taken. "
        "Rename the images with leading zeros to be certain",
    )
    return natural


def cameras_by_number(files: Sequence[Path], n_cameras: int) -> list[int] | None:
    """For each image the number of its camera, where there are fewer images than cameras and the names tell which are missing.

    Args:
        files: V images in natural order.
        n_cameras: C > V.

    Returns:
        V numbers; None where the names bear no numbers, or show no gap: then the first or the last may be missing.

    Raises:
        InputError: the names show a gap, but not which cameras their numbers mean.

    >>> cameras_by_number([Path("1.png"), Path("2.png"), Path("4.png")], 4)
    [0, 1, 3]
    """
    numbers = [int(found[1]) if (found := _LAST_NUMBER.search(file.stem)) else None for file in files]
    if None in numbers or len(set(numbers)) < len(numbers):
        return None
    first, last = min(numbers), max(numbers)
    if last - first + 1 == len(numbers) and first != last - n_cameras + 1:
        return None
    # Numbers that span all cameras, or from 0 on.
    start = first if last - first + 1 == n_cameras else 0 if first == 0 and last < n_cameras else None
    # Of another number of digits, the images that are gone included, they may have been sorted as text.
    digits = {len(_LAST_NUMBER.search(file.stem)[1]) for file in files}
    if start is None or len(digits) > 1 or len(str(start + n_cameras - 1)) > max(digits):
        raise InputError(
            f"{files[0].parent}: {len(files)} images of {n_cameras} cameras, and their names ({files[0].name}, ... {files[-1].name}) do "
            "not tell which are missing; restore the missing images, and leave them out by dataset.exclude."
        )
    return [number - start for number in numbers]


def _first(files: Sequence[Path], order: list[int]) -> str:
    return ", ".join(files[index].name for index in order[:3]) + ", ..."


def _warn(files: Sequence[Path], what: str) -> None:
    warnings.warn(f"{files[0].parent}: {what}.", InputWarning, stacklevel=4)


def _fitting_matches(files: Sequence[Path], orders: list[list[int]], intrinsics: Tensor, poses: Tensor) -> list[int]:
    """For each order the number of matches that lie on each other's epipolar lines, over the same pairs of images."""
    pairs = _pairs(orders, poses)
    features = {index: _features(files[index]) for index in sorted({index for pair in pairs for index in pair})}
    fitting = [0] * len(orders)
    for one, other in pairs:
        points = _matches(features[one], features[other])
        for number, order in enumerate(orders):
            views = order.index(one), order.index(other)
            fitting[number] += _n_on_lines(points, intrinsics[list(views)], poses[list(views)], features[one][2])
    return fitting


def _pairs(orders: list[list[int]], poses: Tensor) -> list[tuple[int, int]]:
    """Pairs of images whose cameras are neighbours in one of the orders and that the orders assign differently."""
    centers = poses[:, :3, 3]
    distances = torch.cdist(centers, centers) + torch.diag(torch.full((len(poses),), torch.inf, dtype=poses.dtype))
    found = []
    for order in orders:
        neighbours = [(order[view], order[int(distances[view].argmin())]) for view in range(len(order))]
        differ = [pair for pair in neighbours if any(orders[0].index(i) != orders[1].index(i) for i in pair)]
        step = max(1, len(differ) // (N_PAIRS // len(orders)))
        found += differ[::step][: N_PAIRS // len(orders)]
    return list(dict.fromkeys(tuple(sorted(pair)) for pair in found))


def _features(file: Path) -> tuple[np.ndarray, np.ndarray | None, float]:
    """Positions (K, 2) in pixels of the file, descriptors, and the longer side."""
    image = cv2.cvtColor(read_rgb(file), cv2.COLOR_RGB2GRAY)
    shrink = min(1.0, SIDE / max(image.shape))
    small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    points, descriptors = cv2.SIFT_create(N_FEATURES).detectAndCompute(small, None)
    stretch = np.array([image.shape[1] / small.shape[1], image.shape[0] / small.shape[0]])
    places = (np.array([point.pt for point in points], dtype=np.float64).reshape(-1, 2) + 0.5) * stretch
    return places, descriptors, float(max(image.shape))


def _matches(one: tuple, other: tuple) -> np.ndarray:
    """(M, 2, 2) positions of mutual matches in both images."""
    if one[1] is None or other[1] is None or min(len(one[1]), len(other[1])) < 2:
        return np.zeros((0, 2, 2))
    there, back = ({}, {})
    for table, first, second in ((there, one, other), (back, other, one)):
        for best, runner_up in cv2.BFMatcher().knnMatch(first[1], second[1], k=2):
            if best.distance < RATIO * runner_up.distance:
                table[best.queryIdx] = best.trainIdx
    mutual = [(i, j) for i, j in there.items() if back.get(j) == i]
    return np.array([[one[0][i], other[0][j]] for i, j in mutual]).reshape(-1, 2, 2)


def _n_on_lines(points: np.ndarray, intrinsics: Tensor, poses: Tensor, side: float) -> int:
    """How many matches lie near each other's epipolar lines."""
    if len(points) == 0:
        return 0
    relative = invert(poses[1]) @ poses[0]
    across = torch.linalg.cross(relative[:3, 3].expand(3, 3), relative[:3, :3].T).T  # [t]x R
    fundamental = torch.linalg.inv(intrinsics[1]).T @ across @ torch.linalg.inv(intrinsics[0])
    first, second = (torch.nn.functional.pad(torch.from_numpy(points[:, i]), (0, 1), value=1.0) for i in (0, 1))
    lines = [(first, second @ fundamental), (second, first @ fundamental.T)]
    distances = [(p * line).sum(-1).abs() / line[:, :2].norm(dim=-1).clamp_min(1e-12) for p, line in lines]
    return int((torch.stack(distances).amax(0) < NEAR_LINE * side).sum())
