"""A scene from arrays, without a folder: images, intrinsics and poses of your own to a trained model and a mesh.

    python examples/own_data.py [--minutes 1 | --iterations N] [--out FOLDER]
"""

import argparse
import math
from pathlib import Path

import numpy as np
import torch

import neus

# A ball of 30 mm at a place of its own in the world, seen from all around.
CENTER, RADIUS, DISTANCE = np.array([120.0, -40.0, 900.0]), 30.0, 150.0
WIDTH, HEIGHT, FOCAL = 128, 96, 150.0


def pose_at(azimuth: float, elevation: float) -> np.ndarray:
    """(4, 4) camera to world: x right, y down, z forward (OpenCV), looking at the centre."""
    outward = np.array(
        [math.cos(azimuth) * math.cos(elevation), math.sin(azimuth) * math.cos(elevation), math.sin(elevation)]
    )
    right = np.array([-math.sin(azimuth), math.cos(azimuth), 0.0])
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(-outward, right), -outward], axis=1)
    pose[:3, 3] = CENTER + DISTANCE * outward
    return pose


def image_of(pose: np.ndarray, intrinsics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An image (H, W, 3) uint8 RGB of the painted ball before grey, and its mask (H, W) bool."""
    # Pixel centres are at +0.5: the first pixel covers [0, 1].
    x, y = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
    directions = np.stack([x, y, np.ones_like(x)], axis=-1) @ np.linalg.inv(intrinsics).T @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    to_center = pose[:3, 3] - CENTER
    half = directions @ to_center
    below_root = half**2 - (to_center @ to_center - RADIUS**2)
    mask = below_root > 0
    points = pose[:3, 3] + (-half - np.sqrt(np.where(mask, below_root, 0.0)))[..., None] * directions
    unit = (points - CENTER) / RADIUS
    stripes = 0.5 + 0.5 * np.sin(9.0 * unit + 3.0 * unit[..., [1, 2, 0]])
    return (255 * np.where(mask[..., None], stripes, 0.4)).astype(np.uint8), mask


def ball_scene(n_views: int = 24) -> neus.Scene:
    """The scene: what your own program has instead are the lists and matrices given here."""
    intrinsics = np.array([[FOCAL, 0.0, WIDTH / 2], [0.0, FOCAL, HEIGHT / 2], [0.0, 0.0, 1.0]])
    poses = [pose_at(2.4 * view, 0.9 * math.sin(1.3 * view)) for view in range(n_views)]
    images, masks = zip(*(image_of(pose, intrinsics) for pose in poses))
    return neus.scene_from_arrays(list(images), intrinsics, np.stack(poses), masks=list(masks))


def main() -> None:
    """Trains, and says how far the surface is from the ball."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="wall-clock budget (default 1)")
    length.add_argument("--iterations", type=int, help="so many iterations instead")
    parser.add_argument("--preset", default="quick", help="quick, best or paper, or a config file")
    parser.add_argument("--out", type=Path, default=Path("runs/own_data"), help="run folder, replaced")
    options = parser.parse_args()
    scene = ball_scene()
    minutes = None if options.iterations else options.minutes or 1.0
    run = neus.train(scene, options.preset, minutes=minutes, iterations=options.iterations, out=options.out, overwrite=True)
    model = run.model("cpu")
    directions = torch.nn.functional.normalize(torch.randn(1000, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    surface = torch.from_numpy(CENTER) + RADIUS * directions
    with torch.no_grad():
        distances = model.sdf(surface.float(), frame="world").abs()
    print(f"distance from the true ball: mean {float(distances.mean()):.2f} mm, at most {float(distances.max()):.2f} mm")
    print(run.path / "mesh.ply")


if __name__ == "__main__":
    main()
