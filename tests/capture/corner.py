"""A corner of a room with painted walls, rendered exactly: every pixel of every image is known in closed form."""

from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image

from neus.geometry.poses import look_at

# Metres, and pixels of their textures.
SIDE, TEXTURE = 2.0, 512
SIZE, FOCAL = (480, 360), 520.0


def textures(seed: int = 0) -> list[np.ndarray]:
    """Three grey walls (512, 512) float32 in [0, 1], with structure at several scales."""
    generator = np.random.default_rng(seed)
    walls = []
    for _ in range(3):
        layers = [cv2.resize(generator.random((n, n)).astype(np.float32), (512, 512), interpolation=cv2.INTER_CUBIC) for n in (16, 64, 160)]
        walls.append(np.clip(sum(layers) / 3 * 1.6 - 0.3, 0.0, 1.0))
    return walls


def poses(n: int, spread: float = 60.0, heights: int = 3) -> list[np.ndarray]:
    """(4, 4) camera to world, on an arc of so many degrees about the vertical, level, z up, at so many heights in turn."""
    target, found = torch.tensor([0.6, 0.6, 0.5], dtype=torch.float64), []
    for i in range(n):
        angle = np.radians(45.0 + spread * (i / (n - 1) - 0.5))
        center = torch.tensor([3.4 * np.cos(angle), 3.4 * np.sin(angle), 1.3 + 0.35 * (i % heights)], dtype=torch.float64)
        found.append(look_at(center, target, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)).numpy())
    return found


def render(pose: np.ndarray, walls: list[np.ndarray], k1: float = 0.0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """(H, W) uint8 of what a camera with one radial coefficient sees."""
    width, height = size
    focal = FOCAL * width / SIZE[0]
    x, y = np.meshgrid((np.arange(width) + 0.5 - width / 2) / focal, (np.arange(height) + 0.5 - height / 2) / focal)
    u, v = x.copy(), y.copy()
    for _ in range(20):  # undistorted from distorted, by fixed point
        factor = 1.0 + k1 * (u * u + v * v)
        u, v = x / factor, y / factor
    directions = np.stack([u, v, np.ones_like(u)], axis=-1) @ pose[:3, :3].T
    center, image, nearest = pose[:3, 3], np.full((height, width), 0.5), np.full((height, width), np.inf)
    for axis, wall in enumerate(walls):
        t = -center[axis] / directions[..., axis]
        points = center + t[..., None] * directions
        a, b = (points[..., i] * (TEXTURE / SIDE) - 0.5 for i in range(3) if i != axis)
        inside = (t > 0) & (t < nearest) & (np.minimum(a, b) > 0) & (np.maximum(a, b) < TEXTURE - 1)
        colors = cv2.remap(wall, a.astype(np.float32), b.astype(np.float32), cv2.INTER_LINEAR)
        image[inside], nearest[inside] = colors[inside], t[inside]
    return np.round(255 * image).astype(np.uint8)


def write(folder: Path, n: int = 8, exif: Image.Exif | None = None, seed: int = 0, prefix: str = "", **settings) -> list[np.ndarray]:
    """Writes n images 00.jpg, 01.jpg, ... and gives their poses."""
    folder.mkdir(parents=True, exist_ok=True)
    walls, cameras = textures(seed), poses(n)
    for i, pose in enumerate(cameras):
        options = {} if exif is None else {"exif": exif}
        Image.fromarray(render(pose, walls, **settings)).convert("RGB").save(folder / f"{prefix}{i:02d}.jpg", quality=95, **options)
    return cameras


def phone_exif(orientation: int = 1, focal_35: int = 0, model: str = "Test") -> Image.Exif:
    """Notes of a phone."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", model, orientation
    if focal_35:
        exif.get_ifd(0x8769)[0xA405] = focal_35
    return exif
