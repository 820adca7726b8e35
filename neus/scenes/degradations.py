"""What cameras and people do to images, masks and poses, each by a known amount."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neus.geometry.poses import rotation_from_vector

# Fraction of the object's pixels with a saturated channel.
SATURATED = 0.05
# Gain of each view, at most this much above or below 1.
GAIN = 0.2
BLUR_SIGMA = 0.7  # pixels
# Variance of noise, in levels of 255 squared: of photons, per level, and of reading.
PHOTON_NOISE, READ_NOISE = 0.6, 4.0
JPEG_QUALITY = 92
# Pixels by which masks are too wide or too narrow, and the diameter of a disc below which parts are thin.
MASK_PIXELS, THIN = 2, 7


@dataclass(frozen=True)
class Imaging:
    """What happens to images, masks and poses; by default nothing.

    Attributes:
        saturated, gain, blur, noise, jpeg: see the constants above.
        masks: `wide`, `narrow`, `thick` (without thin parts), or empty for right ones.
        pose_pixels: cameras are turned by about so many pixels.
    """

    saturated: bool = False
    gain: bool = False
    blur: bool = False
    noise: bool = False
    jpeg: bool = False
    masks: str = ""
    pose_pixels: float = 0.0

    @property
    def changes_exposure(self) -> bool:
        """Whether images become brighter or darker."""
        return self.saturated or self.gain


def developed(images: list[NDArray], masks: list[NDArray], imaging: Imaging, seed: int) -> list[NDArray]:
    """V images (H, W, 3) uint8 of what falls on the sensor.

    In the order in which it happens: exposure, lens, noise, 8 bits, file.

    Args:
        images: V (H, W, 3) float32, 1 is the brightest level.
        masks: V (H, W) bool, the object's true ones.
        imaging: what happens.
        seed: of gains and noise.
    """
    exposure = _saturating(images, masks) if imaging.saturated else 1.0
    found = []
    for view, image in enumerate(images):
        generator = np.random.default_rng((seed, view))
        image = image * np.float32(exposure)
        gain = generator.uniform(1.0 - GAIN, 1.0 + GAIN)
        if imaging.gain:
            image = image * np.float32(gain)
        if imaging.blur:
            image = cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA)
        levels = 255.0 * image
        if imaging.noise:
            deviation = np.sqrt(PHOTON_NOISE * np.clip(levels, 0.0, 255.0) + READ_NOISE)
            levels = levels + deviation * generator.standard_normal(levels.shape, np.float32)
        levels = np.rint(np.clip(levels, 0.0, 255.0)).astype(np.uint8)
        found.append(_through_jpeg(levels) if imaging.jpeg else levels)
    return found


def _saturating(images: list[NDArray], masks: list[NDArray]) -> float:
    """The exposure that saturates a channel of so many of the object's pixels."""
    brightest = np.concatenate([image[mask].max(axis=-1) for image, mask in zip(images, masks, strict=True)])
    # What is rounded up to the highest level counts as well.
    return 254.5 / 255.0 / max(float(np.quantile(brightest, 1.0 - SATURATED)), 1e-3) if len(brightest) else 1.0


def _through_jpeg(levels: NDArray) -> NDArray:
    _, coded = cv2.imencode(".jpg", cv2.cvtColor(levels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def drawn_badly(mask: NDArray, how: str) -> NDArray:
    """(H, W) bool: a mask too `wide`, too `narrow`, or `thick`: without what a disc of THIN pixels does not fit into; empty: as it is."""
    if not how:
        return mask
    if how == "thick":
        return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, _disc(THIN)) > 0
    change = cv2.dilate if how == "wide" else cv2.erode
    return change(mask.astype(np.uint8), _disc(2 * MASK_PIXELS + 1)) > 0


def _disc(diameter: int) -> NDArray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (diameter, diameter))


def turned(camera_to_scene: Tensor, intrinsics: Tensor, pixels: float, seed: int) -> Tensor:
    """Poses (V, 4, 4) whose cameras are turned, at random about each of their axes, so that images move by about so many pixels.

    About x and y by angles of deviation pixels / focal length; about the axis of view by what moves half the image's height as far.
    """
    generator = torch.Generator().manual_seed(seed)
    angles = pixels * torch.randn(len(camera_to_scene), 3, generator=generator, dtype=torch.float64)
    angles[:, :2] /= intrinsics[:, 0, 0, None]
    angles[:, 2] /= intrinsics[:, 1, 2]
    poses = camera_to_scene.clone()
    poses[:, :3, :3] @= torch.stack([rotation_from_vector(vector) for vector in angles])
    return poses
