"""The viewer's page: nodes of the scene, controls, and what each browser is sent."""

import contextlib
import io
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from neus.errors import InputError
from neus.geometry.cameras import Camera
from neus.rendering.views import RenderedView, depth_image, normal_image, rgb_image
from neus.viewer.comparison import compared
from neus.viewer.content import Content
from neus.viewer.guard import Guard
from neus.viewer.nodes import SceneNodes
from neus.viewer.path_editor import PathEditor
from neus.viewer.resting import RestingRenderer
from neus.viewer.viewpoint import camera_at, viewpoint_of

# Of each of the three images of a comparison; pixels.
COMPARED = 320
# Where a browser begins: so many times as far as the views are, or at a distance from an object of radius one.
BEHIND, DISTANCE, ELEVATION = 1.4, 3.5, 0.3
WHAT = ("mesh", "colour", "normals", "depth")
# Rendered pixels are drawn before the mesh, from which they differ by less than this part of their depth.
BEFORE_MESH = 0.97
# What the depth of a background image can hold at most, in viser; nothing is seen there.
FARTHEST_DEPTH = 160.0
# Heights of exported frames and of screenshots, pixels.
PATH_HEIGHT, SCREENSHOT_HEIGHT = 720, 1080
MAX_FRAMES = 10_000


def viser_module() -> ModuleType:
    """The package `viser`; InputError with what to do where it is not installed."""
    try:
        import viser
    except ImportError as error:
        raise InputError(f"the viewer needs the package viser ({error}); pip install 'neus[view]'.") from error
    return viser


class Viewer:
    """A running viewer; its page is at `address` until `stop`."""

    def __init__(self, content: Content, host: str = "127.0.0.1", port: int = 8080, heights: tuple[int, ...] | None = None) -> None:
        """Starts the server on a loopback port, the guard before it, and the thread that renders.

        Args:
            content: what is shown.
            host, port: where the guard listens.
            heights: of rendered images, rising; None takes the usual ones.

        Raises:
            InputError: viser is not installed, or the address is taken.
        """
        viser = viser_module()
        self.content, self._what = content, WHAT[0]
        # It prints a banner whatever it is told.
        with contextlib.redirect_stdout(io.StringIO()):
            self.server = viser.ViserServer(host="127.0.0.1", port=0, label=content.title, verbose=False)
        try:
            self.guard = Guard(self.server.get_port(), host, port)
        except InputError:
            self._stop_server()
            raise
        settings = {} if heights is None else {"heights": heights}
        self.renderer = None if content.renderer is None else RestingRenderer(content.renderer, self._show, **settings)
        self._paths: dict[int, PathEditor] = {}
        self._images: dict[int, np.ndarray] = {}
        self._close_doors()
        self.server.gui.configure_theme(show_share_button=False, show_logo=False)
        self.server.scene.set_up_direction(tuple(float(x) for x in content.up))
        self.server.initial_camera.position, self.server.initial_camera.look_at = tuple(self._onlooker), (0.0, 0.0, 0.0)
        self.nodes = SceneNodes(self.server.scene, content, self._go_to)
        self._add_controls()
        self.server.on_client_connect(self._connected)
        self.server.on_client_disconnect(self._disconnected)

    @property
    def address(self) -> str:
        """What is opened in a browser."""
        return self.guard.address

    def stop(self) -> None:
        """Closes everything: guard, server, threads."""
        self.guard.stop()
        self.nodes.stop()
        if self.renderer is not None:
            self.renderer.stop()
        self._stop_server()

    def _stop_server(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self.server.stop()

    def _close_doors(self) -> None:
        """No client may open a tunnel through somebody's server, nor send files: their messages have no handler."""
        from viser import _messages

        for message in (_messages.ShareUrlRequest, _messages.ShareUrlDisconnect):
            self.server._websock_server.unregister_handler(message)
        for message in (_messages.FileTransferStartUpload, _messages.FileTransferPart):
            self.server._websock_server.unregister_handler(message)

    # ---- the controls ----

    def _add_controls(self) -> None:
        gui, content = self.server.gui, self.content
        with gui.add_folder("Show"):
            self._boxes = {name: gui.add_checkbox(name, name != "region") for name in self.nodes.handles}
            for name, box in self._boxes.items():
                box.on_update(lambda event, name=name: self.nodes.set_visible(name, bool(event.target.value)))
            if self.renderer is not None:
                chosen = gui.add_dropdown("surface", WHAT, hint="What is drawn when the viewpoint rests; the mesh while it moves")
                chosen.on_update(self._choose)
        if content.scene is not None:
            self._add_views()
        with gui.add_folder("Camera path", expand_by_default=False):
            self._frames = gui.add_number("frames", 120, min=2, max=MAX_FRAMES, step=1)
            for label, action in (
                ("add this viewpoint", lambda client: self._path(client).add(self._camera(client, PATH_HEIGHT))),
                ("remove the last", lambda client: self._path(client).remove_last()),
                ("export", self._export),
            ):
                self._button(label, action)
        self._button("screenshot", self._screenshot)
        self._status = gui.add_markdown("")

    def _add_views(self) -> None:
        names = self.content.scene.names
        order = sorted(range(len(names)), key=lambda view: (view not in self.content.held_out, view))
        self._views = {f"{view}: {names[view]}{' (held out)' if view in self.content.held_out else ''}": view for view in order}
        with self.server.gui.add_folder("Views"):
            self._view = self.server.gui.add_dropdown("view", tuple(self._views))
            self._button("go there", lambda client: self._go_to(client, self._chosen_view()))
            if self.renderer is not None:
                self._button("compare image, render, error", self._compare)
            self._compared = self.server.gui.add_image(np.zeros((2, 6, 3), np.uint8), label="image, render, error", visible=False)

    def _button(self, label: str, action: Any) -> None:
        def pressed(event: Any) -> None:
            try:
                if event.client is not None:
                    action(event.client)
                    self._say(event.client)
            except InputError as error:
                self._status.content = str(error)

        self.server.gui.add_button(label).on_click(pressed)

    def _say(self, client: Any) -> None:
        if (path := self._paths.get(client.client_id)) and path.cameras:
            self._status.content = f"{len(path.cameras)} viewpoints in the camera path"

    # ---- what browsers do ----

    def _connected(self, client: Any) -> None:
        client.camera.on_update(lambda camera: self._moved(client))
        self._moved(client)

    @property
    def _onlooker(self) -> np.ndarray:
        """(3,) where a browser begins: behind the views' middle, so that their frusta are seen; without views a little above the object."""
        if not self.content.cameras:
            up = self.content.up / np.linalg.norm(self.content.up)
            ahead = np.cross(up, np.eye(3)[np.abs(up).argmin()])
            return DISTANCE * (np.cos(ELEVATION) * ahead / np.linalg.norm(ahead) + np.sin(ELEVATION) * up)
        centers = np.array([camera.center.numpy() for camera in self.content.cameras])
        center, distance = centers.mean(axis=0), float(np.median(np.linalg.norm(centers, axis=1)))
        if np.linalg.norm(center) < 1e-3 * distance:  # views all round: any side is as good
            center = centers[0]
        return center * (BEHIND * distance / max(float(np.linalg.norm(center)), 1e-9))

    def _disconnected(self, client: Any) -> None:
        for kept in (self._paths, self._images):
            kept.pop(client.client_id, None)
        if self.renderer is not None:
            self.renderer.forget(client.client_id)

    def _camera(self, client: Any, height: int) -> Camera:
        seen = client.camera
        return camera_at(seen.wxyz, seen.position, seen.fov, seen.aspect, height)

    def _path(self, client: Any) -> PathEditor:
        return self._paths.setdefault(client.client_id, PathEditor(self.content.scene_to_world))

    def _moved(self, client: Any) -> None:
        if self.renderer is None:
            return
        if self._images.pop(client.client_id, None) is not None:
            client.scene.set_background_image(None)
        if self._what != "mesh":
            self.renderer.moved(client.client_id, lambda height: self._camera(client, height), self._what)

    def _choose(self, event: Any) -> None:
        if event.target.value not in WHAT:  # browsers send what they like
            return
        self._what = event.target.value
        if "cameras" in self._boxes:  # from a view's own place its image would cover what is rendered
            self._boxes["cameras"].value = self._what == "mesh"
            self.nodes.set_visible("cameras", self._what == "mesh")
        for client in self.server.get_clients().values():
            self.renderer.forget(client.client_id)
            self._moved(client)

    def _show(self, viewer: int, what: str, camera: Camera, rendered: RenderedView) -> None:
        client = self.server.get_clients().get(viewer)
        if client is None:
            return
        makers = {"colour": rgb_image, "normals": lambda view: normal_image(view, camera), "depth": depth_image}
        image = makers[what](rendered)
        depth = np.where(rendered.foreground.numpy() > 0.5, BEFORE_MESH * rendered.depth.numpy(), FARTHEST_DEPTH)
        self._images[viewer] = image
        client.scene.set_background_image(image, jpeg_quality=90, depth=depth.astype(np.float32))

    def _go_to(self, client: Any, view: int) -> None:
        if client is None:
            return
        wxyz, position, fov, _ = viewpoint_of(self.content.scene.camera(view))
        with client.atomic():  # moving takes the orbit's centre along, turning puts it before the camera
            client.camera.fov, client.camera.position, client.camera.wxyz = fov, position, wxyz

    def _compare(self, client: Any) -> None:
        view = self._chosen_view()
        self._status.content = f"rendering view {view} ..."
        with self.renderer.lock:
            found = compared(self.content.renderer, self.content.scene, view, COMPARED)
        turn = self.content.scene.camera(view).turn
        parts = [np.rot90(part, -turn) for part in (found.image, found.rendered, found.error)]
        self._compared.image = np.concatenate(parts, axis=1)
        self._compared.visible = True
        kind = "held out" if view in self.content.held_out else "trained on"
        self._status.content = f"view {view}, {kind}: {found.scores} at {found.image.shape[1]} x {found.image.shape[0]}"

    def _chosen_view(self) -> int:
        if self._view.value not in self._views:
            raise InputError(f"view {self._view.value!r}: the scene has no such view; choose one of the list.")
        return self._views[self._view.value]

    def _export(self, client: Any) -> None:
        frames = self._frames.value
        if not isinstance(frames, int | float) or not 2 <= frames <= MAX_FRAMES:
            raise InputError(f"frames: found {frames!r}, expected 2 to {MAX_FRAMES}.")
        data = self._path(client).file_content(int(frames))
        client.send_file_download("path.json", data)

    def _screenshot(self, client: Any) -> None:
        image = self._images.get(client.client_id)
        if image is None:
            aspect = float(np.clip(client.camera.aspect, 0.1, 10.0))
            image = client.get_render(SCREENSHOT_HEIGHT, max(1, round(SCREENSHOT_HEIGHT * aspect)), transport_format="png")
        encoded = cv2.imencode(".png", cv2.cvtColor(np.ascontiguousarray(image[..., :3]), cv2.COLOR_RGB2BGR))[1]
        client.send_file_download("screenshot.png", encoded.tobytes())
