"""Scenes on disk in the layouts that the package itself does not write, and what readers of any must give back."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from neus.geometry.cameras import project
from neus.geometry.poses import invert, look_at
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.geometry.similarity import scale_of, similarity, transform_points
from neus.scenes.image_writer import write_image
from neus.scenes.scene import Scene
from neus.scenes.writers import world_to_cameras

# The radius of the sphere that stands for the object in `ring_scene`, scene units.
OBJECT_RADIUS = 0.8
# An awkward world: far from its origin, in other units, nothing round.
WORLD = similarity(3.7, torch.tensor([11.3, -4.1, 25.9], dtype=torch.float64))


def ring_scene(sizes: list[tuple[int, int]], scene_to_world: Tensor = WORLD) -> Scene:
    """Views of a sphere with exact masks, one for each (width, height), from a rising ring of cameras."""
    images, masks, intrinsics, poses = [], [], [], []
    for view, (width, height) in enumerate(sizes):
        angle = 2.4 * view
        center = torch.tensor([3.0 * np.cos(angle), -1.5 + 3.0 * view / len(sizes), 3.0 * np.sin(angle)])
        # Each camera aims a little beside the middle, as people do.
        target = torch.tensor([0.05 * np.sin(3.0 * view), 0.05 * np.cos(5.0 * view), 0.0])
        pose = look_at(center.double(), target.double(), torch.tensor([0.0, -1.0, 0.0]).double())
        k = torch.tensor([[1.3 * width, 0, width / 2 + 0.7], [0, 1.31 * width, height / 2 - 1.1], [0, 0, 1]]).double()
        pixels = pixel_centers(width, height)
        hits = intersect_sphere(*rays_from_pixels(pixels.reshape(-1, 2), k, pose), radius=OBJECT_RADIUS)[2]
        masks.append(hits.reshape(height, width).numpy())
        images.append(smooth_colors(pixels.numpy(), width, height))
        intrinsics.append(k)
        poses.append(pose)
    names = [f"{view}.png" for view in range(len(sizes))]
    return Scene(images, masks, torch.stack(intrinsics), torch.stack(poses), scene_to_world, names)


def smooth_colors(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """(..., 3) uint8: colours from which the place in the image can be read: red along x, green along y."""
    red, green = 20 + 200 * pixels[..., 0] / width, 20 + 200 * pixels[..., 1] / height
    return np.stack([red, green, np.full_like(red, 128)], axis=-1).clip(0, 255).round().astype(np.uint8)


def world_points(scene: Scene, n_points: int = 50, seed: int = 0) -> Tensor:
    """(P, 3) points of the unit ball, in the world."""
    points = torch.randn(n_points, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    points = points / points.norm(dim=-1, keepdim=True) * torch.linspace(0.1, OBJECT_RADIUS, n_points)[:, None]
    return transform_points(scene.scene_to_world, points)


def largest_pixel_difference(one: Scene, other: Scene) -> float:
    """How far apart, in pixels, the same points of the world fall in the same views of two scenes."""
    points, worst = world_points(one), 0.0
    assert len(one) == len(other)
    for view in range(len(one)):
        pixels = [project(transform_points(invert(s.scene_to_world), points), s.camera(view))[0] for s in (one, other)]
        worst = max(worst, float((pixels[0] - pixels[1]).norm(dim=-1).max()))
    return worst


def write_blendedmvs(scene: Scene, folder: Path) -> Path:
    """blended_images/ (JPEG, and masked ones if there are masks) and cams/ with the depths of the object's sphere."""
    (folder / "cams").mkdir(parents=True)
    scale, center = scale_of(scene.scene_to_world), scene.scene_to_world[:3, 3]
    pairs = [str(len(scene))]
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        rows = "\n".join(" ".join(repr(x) for x in row) for row in world_to_camera.tolist())
        k_rows = "\n".join(" ".join(repr(x) for x in row) for row in _integer_centers(scene.intrinsics[view]).tolist())
        depth = float(transform_points(world_to_camera, center)[2])
        nearest, farthest = depth - OBJECT_RADIUS * scale, depth + 3 * scale
        depths = f"{nearest!r} {(farthest - nearest) / 127!r} 128 {farthest!r}"
        (folder / "cams" / f"{view:08d}_cam.txt").write_text(
            f"extrinsic\n{rows}\n\nintrinsic\n{k_rows}\n\n{depths}\n", encoding="utf-8"
        )
        write_image(folder / "blended_images" / f"{view:08d}.jpg", scene.images[view])
        if scene.masks is not None:
            masked = scene.images[view] * scene.masks[view][:, :, None]
            write_image(folder / "blended_images" / f"{view:08d}_masked.jpg", masked)
        pairs += [str(view), "1 0 100.0" if view else "1 1 100.0"]
    (folder / "cams" / "pair.txt").write_text("\n".join(pairs) + "\n", encoding="utf-8")
    return folder


def write_blender(scene: Scene, folder: Path) -> Path:
    """transforms_train.json with one camera per frame, and RGBA images in train/."""
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0], dtype=torch.float64))
    frames = []
    for view, world_to_camera in enumerate(world_to_cameras(scene)):
        (fx, _, cx), (_, fy, cy), _ = scene.intrinsics[view].tolist()
        width, height = scene.sizes[view]
        frame = {"file_path": f"./train/r_{view}", "transform_matrix": (invert(world_to_camera) @ flip).tolist()}
        frames.append(frame | {"fl_x": fx, "fl_y": fy, "cx": cx, "cy": cy, "w": width, "h": height})
        alpha = scene.masks[view][:, :, None].astype(np.uint8) * 255
        write_image(folder / "train" / f"r_{view}.png", np.concatenate([scene.images[view], alpha], axis=2))
    (folder / "transforms_train.json").write_text(json.dumps({"frames": frames}), encoding="utf-8")
    return folder


def _integer_centers(intrinsics: Tensor) -> Tensor:
    shifted = intrinsics.clone()
    shifted[:2, 2] -= 0.5
    return shifted
