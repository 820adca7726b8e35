"""What a viewer shows: plain data in the scene frame, and a renderer."""

from dataclasses import dataclass, field

import numpy as np
import trimesh
from torch import Tensor

from neus.geometry.cameras import Camera
from neus.rendering.views import Renderer
from neus.scenes.scene import Scene
from neus.scenes.tracked_points import reliable_positions

# More points than these cost the browser more than they show.
MAX_POINTS = 200_000


@dataclass(frozen=True)
class Content:
    """Everything that can be shown; what is not there is not offered.

    Attributes:
        title: plain text.
        scene_to_world: (4, 4) similarity from the frame that is shown, in which the object has a radius of about one.
        scene: views with images, or None.
        mesh: in the scene frame, or None.
        renderer: of the model, or None.
        held_out: numbers of the views that were not trained on.
        up: (3,) the vertical in the scene frame.
    """

    title: str
    scene_to_world: Tensor
    scene: Scene | None = None
    mesh: trimesh.Trimesh | None = None
    renderer: Renderer | None = None
    held_out: tuple[int, ...] = ()
    up: np.ndarray = field(default_factory=lambda: np.array([0.0, 1.0, 0.0]))

    @property
    def cameras(self) -> list[Camera]:
        """Those of the views."""
        return [] if self.scene is None else [self.scene.camera(view) for view in range(len(self.scene))]


def points_in_scene(scene: Scene) -> tuple[np.ndarray, np.ndarray] | None:
    """Sparse points (p, 3) float32 in the scene frame and their colours (p, 3) uint8, evenly thinned to MAX_POINTS; None without any.

    Points far outside of the region are left out: they would only shrink everything else.
    """
    if scene.points is None or len(scene.points) == 0:
        return None
    positions, colors = scene.points.positions, scene.points.colors
    colors = np.full((len(positions), 3), 128, np.uint8) if colors is None else colors
    known = {tuple(row) for row in reliable_positions(positions, scene.points.lengths)}
    kept = np.array([tuple(row) in known for row in positions])
    matrix = np.linalg.inv(scene.scene_to_world.numpy())
    placed = positions[kept] @ matrix[:3, :3].T + matrix[:3, 3]
    farthest = max((float(camera.center.norm()) for camera in map(scene.camera, range(len(scene)))), default=1.0)
    is_near = np.linalg.norm(placed, axis=1) < 2.0 * max(farthest, 1.0)
    placed, colors = placed[is_near], colors[kept][is_near]
    step = max(1, -(-len(placed) // MAX_POINTS))
    return placed[::step].astype(np.float32), np.ascontiguousarray(colors[::step])
