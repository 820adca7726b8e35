"""Which frames of a video are taken: equal steps of motion, and the sharpest frame of each.

Sharpness depends on what is seen, so frames are only ever compared with their neighbours: a threshold for a whole video would throw
away plain sides of an object.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# Corners that are tracked from frame to frame (Shi and Tomasi 1994; Lucas and Kanade 1981), and how they are found.
N_CORNERS, CORNER_QUALITY, CORNER_DISTANCE = 150, 0.01, 7
# Fewer tracked corners than this say nothing of motion.
FEWEST_TRACKED = 8
# Motion between two frames that are taken, in widths of the image: some ninety percent of one is seen in the next.
STEP = 0.08
FEWEST_FRAMES, MOST_FRAMES = 60, 150
# A step with more motion than this from frame to frame is too fast: neighbours hardly overlap.
TOO_FAST = 0.25
# A frame less sharp than this fraction of its neighbours is blurred; so many on either side.
BLURRED, N_NEIGHBOURS = 0.5, 3


@dataclass(frozen=True)
class Watched:
    """What was measured of a video.

    Attributes:
        motion: (F,) from the frame before, in widths of the image: the median displacement of corners.
        sharpness: (F,) variance of the Laplacian.
    """

    motion: NDArray
    sharpness: NDArray


@dataclass(frozen=True)
class Choice:
    """Frames that are taken.

    Attributes:
        numbers: ascending.
        blurred: of frames that were the sharpest of their step, and left out all the same.
        n_too_fast: steps in which the camera moved too fast.
    """

    numbers: list[int]
    blurred: list[int]
    n_too_fast: int


def watch(frames: Iterable[NDArray], on_progress: Callable[[int], None] | None = None) -> Watched:
    """Motion and sharpness of all frames (h, w) uint8 grey. `on_progress` receives the number of frames that were watched."""
    motion, sharpness, last, corners = [], [], None, None
    for number, frame in enumerate(frames):
        sharpness.append(float(cv2.Laplacian(frame, cv2.CV_32F).var()))
        moved = 0.0
        if last is not None:
            moved = _displacement(last, frame, corners)
        motion.append(moved / frame.shape[1])
        corners = cv2.goodFeaturesToTrack(frame, N_CORNERS, CORNER_QUALITY, CORNER_DISTANCE)
        last = frame
        if on_progress:
            on_progress(number + 1)
    return Watched(np.array(motion), np.array(sharpness))


def _displacement(last: NDArray, frame: NDArray, corners: NDArray | None) -> float:
    """The median way of corners from one frame to the next, pixels; 0 where too few can be followed."""
    if corners is None or len(corners) < FEWEST_TRACKED:
        return 0.0
    moved, status, _ = cv2.calcOpticalFlowPyrLK(last, frame, corners, None)
    ways = np.linalg.norm(moved - corners, axis=-1)[status.astype(bool)]
    return float(np.median(ways)) if len(ways) >= FEWEST_TRACKED else 0.0


def choose(watched: Watched, n_frames: int | None = None) -> Choice:
    """The sharpest frame of each of N steps of equal motion; blurred ones are left out.

    Args:
        watched: of all frames.
        n_frames: N; None takes as many as the motion asks for, 60 to 150.

    >>> pan = Watched(np.full(200, 0.01), np.tile([1.0, 3.0, 2.0, 1.0], 50))
    >>> choose(pan, 4).numbers
    [1, 53, 101, 153]
    """
    way = np.cumsum(watched.motion) - watched.motion / 2
    length = float(watched.motion.sum())
    if n_frames is None:
        n_frames = int(np.clip(round(length / STEP), FEWEST_FRAMES, MOST_FRAMES))
    edges = np.linspace(0.0, length, n_frames + 1)[1:-1]
    steps = np.searchsorted(edges, way, side="right")
    best, n_too_fast = [], 0
    for step in range(n_frames):
        members = np.flatnonzero(steps == step)
        if len(members):
            best.append(int(members[watched.sharpness[members].argmax()]))
            n_too_fast += bool(watched.motion[members].max() > TOO_FAST)
    blurred = _blurred(watched.sharpness[best])
    return Choice(
        [number for number, bad in zip(best, blurred, strict=True) if not bad],
        [number for number, bad in zip(best, blurred, strict=True) if bad],
        n_too_fast,
    )


def _blurred(sharpness: NDArray) -> NDArray:
    """(N,) bool: whether a frame is much less sharp than those before it and than those after it.

    Where what is seen changes to something plainer, only those before are sharper; the first and the last have one side and are kept.
    """
    blurred = np.zeros(len(sharpness), bool)
    for i in range(1, len(sharpness) - 1):
        before, after = sharpness[max(0, i - N_NEIGHBOURS) : i], sharpness[i + 1 : i + 1 + N_NEIGHBOURS]
        blurred[i] = sharpness[i] < BLURRED * min(np.median(before), np.median(after))
    return blurred
