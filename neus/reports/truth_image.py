"""The built-in scene as it is seen, rendered, and as far from its exact surface as it is."""

import cv2
import numpy as np
import torch

from neus.geometry.cameras import Camera
from neus.geometry.cup import object_sdf
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.rendering.model import Model, in_chunks
from neus.rendering.modes import renderer_for
from neus.rendering.sphere_tracing import trace
from neus.rendering.views import normal_image, render_view, rgb_image
from neus.scenes.scene import Scene
from neus.scenes.synthetic import MILLIMETRES_PER_UNIT

# Views of the image: the side, the handle's hole, the inside seen from above.
IMAGE_VIEWS = (6, 20, 37)
# Full red in the error column, as a fraction of the object's radius.
ERROR_SCALE = 0.05
COLUMNS = ("image", "render", "normals", "error: 0")
LABEL_HEIGHT = 28


def comparison_image(model: Model, scene: Scene) -> np.ndarray:
    """(H, W, 3) uint8 RGB: for each view its image, render, normals, and the surface coloured by its true error."""
    rows, renderer = [], renderer_for(model)
    for view in IMAGE_VIEWS:
        camera = scene.camera(view)
        seen = render_view(renderer, camera)
        cells = [scene.images[view], rgb_image(seen), normal_image(seen, camera), error_image(model, camera)]
        rows.append(np.concatenate(cells, axis=1))
    image = np.concatenate(rows)
    full_scale = f" (blue) to {ERROR_SCALE * MILLIMETRES_PER_UNIT:.1f} mm"
    return np.concatenate([_labels(image.shape[1], [*COLUMNS[:3], COLUMNS[3] + full_scale]), image])


def error_image(model: Model, camera: Camera) -> np.ndarray:
    """(H, W, 3) uint8 RGB: the model's surface as a camera sees it, coloured by its exact distance from the truth."""
    pixels = pixel_centers(camera.width, camera.height).reshape(-1, 2)
    origins, directions = (x.float() for x in rays_from_pixels(pixels, camera.intrinsics, camera.camera_to_scene))
    enters, leaves, meets = intersect_sphere(origins, directions)
    sdf = in_chunks(lambda p: model.sdf(p.to(model.device)).cpu(), 2**15)
    found = trace(sdf, origins[meets], directions[meets], enters[meets], leaves[meets], lipschitz=1.5)
    points = origins[meets][found.hit] + found.t[found.hit].unsqueeze(-1) * directions[meets][found.hit]
    hit = meets.clone()
    hit[meets] = found.hit
    error = object_sdf(points).abs() / ERROR_SCALE
    bgr = cv2.applyColorMap((error.clamp(0, 1) * 255).to(torch.uint8).numpy(), cv2.COLORMAP_TURBO).reshape(-1, 3)
    image = np.full((camera.height * camera.width, 3), 255, np.uint8)
    image[hit.numpy()] = bgr[:, ::-1]
    return image.reshape(camera.height, camera.width, 3)


def _labels(width: int, texts: list[str]) -> np.ndarray:
    strip = np.full((LABEL_HEIGHT, width, 3), 255, np.uint8)
    for i, text in enumerate(texts):
        place = (i * width // len(texts) + 8, LABEL_HEIGHT - 9)
        cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
    return strip
