"""A small right scene, rendered once, to be altered in one way by each test: a textured cup in a dome, 24 views."""

import math
from functools import cache

import torch

from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at
from neus.geometry.rays import pixel_centers, rays_from_pixels
from neus.geometry.similarity import similarity
from neus.scenes.scene import Scene
from neus.scenes.scene_checks import checked
from neus.scenes.synthetic import render_rays

N_VIEWS, ROWS, WIDTH, HEIGHT = 24, 3, 240, 180
CENTER, SCALE = (25.0, -40.0, 610.0), 60.0


@cache
def right_scene() -> Scene:
    """Three rows of eight cameras, neighbours about 15 degrees apart, in a file order that goes to and fro."""
    focal = 1.5 * HEIGHT
    intrinsics = torch.tensor([[focal, 0, WIDTH / 2], [0, focal, HEIGHT / 2], [0, 0, 1]], dtype=torch.float64)
    up, cameras = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64), []
    for view in range(N_VIEWS):
        row, column = divmod(view, N_VIEWS // ROWS)
        column = column if row % 2 == 0 else N_VIEWS // ROWS - 1 - column
        # Neither steps nor distances are even: an order moved on by one is then another geometry.
        azimuth, elevation = math.radians(13.0 * column + 0.4 * column**2), math.radians(10.0 + 14.0 * row)
        distance = 2.9 + 0.05 * ((5 * view) % 7)
        toward = [math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)]
        center = distance * torch.tensor(toward, dtype=torch.float64)
        cameras.append(Camera(intrinsics, look_at(center, torch.zeros(3, dtype=torch.float64), up), WIDTH, HEIGHT))
    images, masks = zip(*(_rendered(camera) for camera in cameras), strict=True)
    scene = Scene(
        images=list(images),
        masks=list(masks),
        intrinsics=intrinsics.expand(N_VIEWS, 3, 3).clone(),
        camera_to_scene=torch.stack([camera.camera_to_scene for camera in cameras]),
        scene_to_world=similarity(SCALE, torch.tensor(CENTER, dtype=torch.float64)),
        names=[f"{view:03d}.png" for view in range(N_VIEWS)],
        format="colmap",
    )
    return checked(scene)


def _rendered(camera):
    pixels = pixel_centers(camera.width, camera.height).reshape(-1, 2)
    colors, hits = render_rays(
        *(x.float() for x in rays_from_pixels(pixels, camera.intrinsics, camera.camera_to_scene))
    )
    image = (255.0 * colors).round().byte().reshape(camera.height, camera.width, 3)
    return image.numpy(), hits.reshape(camera.height, camera.width).numpy()
