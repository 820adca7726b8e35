"""The nodes of a viewer's scene: mesh, views with their images, sparse points, region of interest."""

import logging
import threading
from collections.abc import Callable
from typing import Any

import cv2

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.viewer.content import Content, points_in_scene
from neus.viewer.viewpoint import viewpoint_of

LOG = logging.getLogger("neus")
# Width of the images in frusta, pixels; those of more views stay out: each takes a texture.
THUMBNAIL, MAX_THUMBNAILS = 128, 200
# In scene units, in which the object has a radius of one.
FRUSTUM_SCALE, POINT_SIZE = 0.12, 0.004
TRAINED, HELD_OUT = (70, 120, 200), (220, 120, 40)


class SceneNodes:
    """What is there to be seen, by name; images are filled in by a thread, since reading them may take a while.

    Attributes:
        handles: viser's, for each of `mesh`, `cameras`, `points` and `region` that the content has.
    """

    def __init__(self, scene: Any, content: Content, go_to: Callable[[Any, int], None]) -> None:
        """Adds them.

        Args:
            scene: viser's.
            content: what is shown.
            go_to: called with (client, view) when a frustum is clicked on.
        """
        self._scene, self._content, self._go_to = scene, content, go_to
        self.handles: dict[str, list[Any]] = {}
        if content.mesh is not None:
            self.handles["mesh"] = [scene.add_mesh_trimesh("/mesh", content.mesh, cast_shadow=False, receive_shadow=False)]
        if content.scene is not None:
            self._add_scene()
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(target=self._add_thumbnails, name="neus viewer thumbnails", daemon=True)
        self._thread.start()

    def set_visible(self, name: str, is_visible: bool) -> None:
        """Shows or hides all nodes of a name."""
        for handle in self.handles[name]:
            handle.visible = is_visible

    def stop(self) -> None:
        """Ends the thread."""
        self._is_stopped.set()
        self._thread.join()

    def _add_scene(self) -> None:
        self.handles["cameras"] = [self._frustum(view, camera) for view, camera in enumerate(self._content.cameras)]
        if (points := points_in_scene(self._content.scene)) is not None:
            self.handles["points"] = [self._scene.add_point_cloud("/points", *points, point_size=POINT_SIZE)]
        low, high = self._content.scene.box.numpy()
        box = self._scene.add_box(
            "/box", HELD_OUT, tuple(high - low), wireframe=True, position=tuple((low + high) / 2), visible=False
        )
        ball = self._scene.add_icosphere("/sphere", 1.0, TRAINED, wireframe=True, opacity=0.3, visible=False)
        self.handles["region"] = [box, ball]

    def _frustum(self, view: int, camera: Camera) -> Any:
        wxyz, position, fov, aspect = viewpoint_of(camera)
        color = HELD_OUT if view in self._content.held_out else TRAINED
        handle = self._scene.add_camera_frustum(
            f"/cameras/{view:04d}", fov, aspect, scale=FRUSTUM_SCALE, color=color, wxyz=wxyz, position=position, cast_shadow=False
        )
        handle.on_click(lambda event: self._go_to(event.client, view))
        return handle

    def _add_thumbnails(self) -> None:
        for view, handle in enumerate(self.handles.get("cameras", [])[:MAX_THUMBNAILS]):
            if self._is_stopped.is_set():
                return
            try:
                image = self._content.scene.images[view]
            except InputError as error:  # moved since; the frustum stays empty
                LOG.warning("%s", error)
                continue
            height = max(1, round(THUMBNAIL * image.shape[0] / image.shape[1]))
            handle.image = cv2.resize(image, (THUMBNAIL, height), interpolation=cv2.INTER_AREA)
