"""Painted bodies in constant light, seen exactly: every pixel is the mean light of 3 x 3 rays."""

import numpy as np
import torch
import trimesh

from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at
from neus.scenes.scene import Scene
from neus.texturing.levels import encoded

RADIUS, RAYS, BEHIND = 0.6, 3, 0.3
CELLS = 6  # of the board, along each side of 1 unit


def ball_paint(points):
    """(..., 3) linear light of points on the ball: waves 8 pixels long in images 160 wide, no two places alike."""
    x, y, z = np.moveaxis(points / RADIUS, -1, 0)
    waves = [np.sin(14 * x + 4 * z * y + 1), np.sin(13 * y - 5 * x * z), np.sin(15 * z + 3 * x * y + 2)]
    return 0.35 + 0.25 * np.stack(waves, axis=-1)


def slow_paint(points):
    """(..., 3) linear light of points on the ball, so smooth that vertices of a coarse mesh tell it."""
    return 0.35 + 0.2 * np.sin(2.0 * points / RADIUS + [1.0, 2.0, 3.0])


def board_paint(points):
    """(..., 3) linear light of a checkerboard in the plane z = 0, grey outside of it."""
    x, y = points[..., 0] + 0.5, points[..., 1] + 0.5
    cells = (np.floor(x * CELLS) + np.floor(y * CELLS)).astype(int) % 2
    inside = (x >= 0) & (x < 1) & (y >= 0) & (y < 1)
    return np.repeat(np.where(inside, 0.05 + 0.8 * cells, BEHIND)[..., None], 3, axis=-1)


def hits_of_ball(center, directions):
    """Points (..., 3) where rays meet the ball, NaN where they miss it."""
    middle = directions @ center
    inside = middle**2 - (center @ center - RADIUS**2)
    t = -middle - np.sqrt(np.where(inside > 0, inside, np.nan))
    return center + t[..., None] * directions


def hits_of_board(center, directions):
    """Points (..., 3) of the board that rays meet, NaN elsewhere."""
    points = center - (center[2] / directions[..., 2])[..., None] * directions
    points[(np.abs(points[..., :2]) > 0.5).any(axis=-1)] = np.nan
    return points


def camera_at(center, width):
    """A camera at `center` (3,) that looks at the origin, 4:3."""
    height = width * 3 // 4
    intrinsics = torch.tensor([[1.8 * height, 0.0, width / 2], [0.0, 1.8 * height, height / 2], [0.0, 0.0, 1.0]], dtype=torch.float64)
    up = [0.0, 0.0, 1.0] if abs(center[2]) < 0.9 * np.linalg.norm(center) else [0.0, 1.0, 0.0]
    pose = look_at(*(torch.tensor(values, dtype=torch.float64) for values in (list(center), [0.0] * 3, up)))
    return Camera(intrinsics, pose, width, height)


def view_of(camera, hits, paint):
    """(H, W, 3) uint8 and (H, W) bool."""
    y, x = np.mgrid[: camera.height * RAYS, : camera.width * RAYS]
    pixels = np.stack([(x + 0.5) / RAYS, (y + 0.5) / RAYS, np.ones_like(x)], axis=-1)
    pose = camera.camera_to_scene.numpy()
    directions = pixels @ np.linalg.inv(camera.intrinsics.numpy()).T @ pose[:3, :3].T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    points = hits(pose[:3, 3], directions)
    covers = np.isfinite(points[..., 0])
    light = np.where(covers[..., None], paint(np.where(covers[..., None], points, 0.0)), BEHIND)
    blocks = (camera.height, RAYS, camera.width, RAYS)
    image = light.reshape(*blocks, 3).mean(axis=(1, 3))
    return (255 * encoded(image)).round().astype(np.uint8), covers.reshape(blocks).mean(axis=(1, 3)) > 0.5


def scene_of(cameras, hits, paint):
    """What cameras see of a painted body."""
    images, masks = zip(*(view_of(camera, hits, paint) for camera in cameras), strict=True)
    return Scene(
        list(images),
        list(masks),
        torch.stack([camera.intrinsics for camera in cameras]),
        torch.stack([camera.camera_to_scene for camera in cameras]),
        torch.eye(4, dtype=torch.float64),
        [f"{view:03d}.png" for view in range(len(cameras))],
    )


def around(n, distance=2.5, lowest=-1.0):
    """n places (n, 3) evenly around the origin, from a height of `lowest` times the distance up."""
    z = lowest + (1.0 - lowest) * (np.arange(n) + 0.5) / n
    turn = np.arange(n) * np.pi * (3.0 - np.sqrt(5.0))
    return distance * np.column_stack([np.sqrt(1 - z**2) * np.cos(turn), np.sqrt(1 - z**2) * np.sin(turn), z])


def ball(subdivisions=4):
    """The ball as a mesh, vertices on it."""
    return trimesh.creation.icosphere(subdivisions, RADIUS)


def board():
    """The board: two triangles."""
    corners = [[-0.5, -0.5, 0.0], [0.5, -0.5, 0.0], [0.5, 0.5, 0.0], [-0.5, 0.5, 0.0]]
    return trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)


def ball_scene(n=20, width=160, lowest=-1.0, paint=ball_paint):
    """The painted ball from all around."""
    return scene_of([camera_at(center, width) for center in around(n, lowest=lowest)], hits_of_ball, paint)


def board_scene(n=9, width=200):
    """The board from above."""
    places = around(n, 1.9, lowest=0.75)
    return scene_of([camera_at(center, width) for center in places], hits_of_board, board_paint)
