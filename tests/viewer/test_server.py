"""The server as browsers meet it: through the guard, with viser's messages."""

import http.client
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

import neus
from neus.errors import InputError
from neus.rendering.renderer import RenderedPixels
from neus.scenes.tracked_points import TrackedPoints
from neus.viewer.content import Content
from neus.viewer.server import Viewer, viser_module

viser = pytest.importorskip("viser", reason="viser is not installed: pip install 'neus[view]'")
import msgspec  # noqa: E402
import zstandard  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402


class Ball:
    """A renderer that sees a red ball of radius one at the origin."""

    device, rays_at_a_time = torch.device("cpu"), 10_000

    def render(self, origins, directions, background=None, forward=None):
        along = -(origins * directions).sum(-1)
        hits = ((origins.square().sum(-1) - along.square()) < 1.0).float()
        rgb = torch.tensor([0.9, 0.1, 0.1]) * hits[:, None]
        return RenderedPixels(rgb, hits, hits, along * hits, along * hits, torch.nn.functional.normalize(-directions, dim=-1))


@pytest.fixture(scope="module")
def content(scene_folder):
    from dataclasses import replace

    scene = neus.load_scene(scene_folder)
    points = TrackedPoints(np.random.default_rng(0).normal(size=(50, 3)) + scene.scene_to_world[:3, 3].numpy())
    return Content("cup", scene.scene_to_world, replace(scene, points=points), trimesh.creation.icosphere(2), Ball(), (1, 3))


@pytest.fixture
def viewer(content):
    viewer = Viewer(content, port=0, heights=(4, 8))
    viewer.renderer.rest = 0.05
    yield viewer
    viewer.stop()


def cookie_of(viewer):
    connection = http.client.HTTPConnection("127.0.0.1", viewer.guard.port, timeout=10)
    connection.request("GET", f"/?token={viewer.guard.token}")
    cookie = connection.getresponse().getheader("Set-Cookie").split(";")[0]
    connection.close()
    return cookie


def browser(viewer, **headers):
    """A connection as a browser makes it."""
    address = f"127.0.0.1:{viewer.guard.port}"
    given = {"Cookie": cookie_of(viewer), "Origin": f"http://{address}"} | headers
    return connect(
        f"ws://{address}/", subprotocols=[f"viser-v{viser.__version__}"], origin=given.pop("Origin"), additional_headers=given,
        max_size=None, open_timeout=10, proxy=None,
    )  # fmt: skip


def say(socket, kind, **fields):
    socket.send(msgspec.msgpack.encode({"type": kind, **fields}))


def stand_at(socket, position=(0.0, 0.0, -3.0), **changed):
    camera = {
        "wxyz": (1.0, 0.0, 0.0, 0.0), "position": position, "fov": 1.0, "near": 0.01, "far": 100.0, "image_height": 60,
        "image_width": 90, "look_at": (0.0, 0.0, 0.0), "up_direction": (0.0, -1.0, 0.0),
    }  # fmt: skip
    say(socket, "ViewerCameraMessage", **(camera | changed))


def messages(socket, seconds=5.0):
    """What the server sends, message by message, until it is silent for so long."""
    while True:
        try:
            data = socket.recv(timeout=seconds)
        except TimeoutError:
            return
        length = int.from_bytes(data[8:16], "little")
        yield from msgspec.msgpack.decode(zstandard.ZstdDecompressor().decompress(data[16 : 16 + length]))["messages"]


def first(socket, kind, seconds=5.0, where=lambda message: True):
    return next(found for found in messages(socket, seconds) if found["type"] == kind and where(found))


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    assert condition()


def test_only_the_loopback_address_listens(viewer):
    assert viewer.server.get_host() == "127.0.0.1" and viewer.address.startswith("http://127.0.0.1:")
    if not Path("/proc/net/tcp").is_file():
        pytest.skip(f"{sys.platform} does not list its sockets")
    ports = {f"{port:04X}" for port in (viewer.guard.port, viewer.server.get_port())}
    rows = [line.split() for name in ("tcp", "tcp6") if Path(f"/proc/net/{name}").is_file() for line in open(f"/proc/net/{name}")]
    listening = [row[1].split(":") for row in rows if len(row) > 3 and row[3] == "0A" and row[1].split(":")[-1] in ports]
    assert len(listening) == 2 and {address for address, _ in listening} == {"0100007F"}


def test_a_browser_is_sent_cameras_points_region_and_mesh(viewer, content):
    with browser(viewer) as socket:
        stand_at(socket)
        sent = list(messages(socket, 1.0))
    names = {message.get("name") for message in sent}
    assert {f"/cameras/{view:04d}" for view in range(len(content.scene))} | {"/points", "/box", "/sphere", "/mesh"} <= names
    frustum = next(message for message in sent if message.get("name") == "/cameras/0002" and "Frustum" in message["type"])
    camera = content.scene.camera(2)
    assert frustum["props"]["fov"] == pytest.approx(2 * np.arctan(camera.height / 2 / float(camera.intrinsics[1, 1])))
    thumbnails = {m["name"] for m in sent if m.get("name", "").startswith("/cameras/") and "_image_data" in str(m)}
    assert len(thumbnails) == len(content.scene)


def test_there_is_no_share_button_and_nobody_can_ask_for_a_tunnel(viewer):
    from viser import _messages

    with browser(viewer) as socket:
        theme = first(socket, "ThemeConfigurationMessage")
    assert theme["show_share_button"] is False
    handled = viewer.server._websock_server._incoming_handlers
    for message in (_messages.ShareUrlRequest, _messages.FileTransferStartUpload, _messages.FileTransferPart):
        assert message not in handled


def test_a_resting_viewer_is_sent_a_coarse_and_a_fine_image_and_a_moving_one_none(viewer):
    viewer._what = "colour"
    with browser(viewer) as socket:
        stand_at(socket)
        until(lambda: len(viewer.server.get_clients()) == 1)
        stand_at(socket, (0.0, 0.0, -4.0))
        # Those that come close upon each other are sent as the last of them.
        assert first(socket, "BackgroundImageMessage", where=lambda m: m["rgb_data"] is not None)["format"] == "jpeg"
        until(lambda: viewer.renderer.n_waiting == 0)
        (image,) = viewer._images.values()
        assert image.shape == (8, 12, 3) and image[4, 6, 0] > 200 and image[0, 0].max() == 0
        viewer.renderer.rest = 60.0
        stand_at(socket, (0.0, 0.0, -5.0))
        assert first(socket, "BackgroundImageMessage", where=lambda m: m["rgb_data"] is None)
        assert not viewer._images


def test_nonsense_ends_one_client_and_not_the_server(viewer):
    with browser(viewer) as good:
        stand_at(good)
        until(lambda: len(viewer.server.get_clients()) == 1)
        for nonsense in (b"\xc1\xff", msgspec.msgpack.encode({"type": "NoSuchMessage"}), msgspec.msgpack.encode([1, 2]), "text"):
            with browser(viewer) as bad:
                bad.send(nonsense)
                with pytest.raises(ConnectionClosed):
                    while True:
                        bad.recv(timeout=5.0)
        # Numbers that are no camera's are dropped, and rendering goes on for who stands still.
        viewer._what = "colour"
        with browser(viewer) as strange:
            stand_at(strange, fov=float("nan"))
            stand_at(strange, (float("inf"), 0.0, 0.0), wxyz=(0.0, 0.0, 0.0, 0.0), image_width=0)
            time.sleep(0.3)
        stand_at(good, (0.0, 0.0, -6.0))
        assert first(good, "BackgroundImageMessage", where=lambda m: m["rgb_data"] is not None)


def test_without_the_token_or_from_another_page_there_is_no_socket(viewer):
    for headers in ({"Cookie": "neus=1"}, {"Origin": "http://evil.example"}):
        with pytest.raises(Exception, match="HTTP 40[13]"):
            browser(viewer, **headers)


def test_browsers_that_come_and_go_leave_nothing_behind(viewer):
    viewer._what = "colour"

    def visit():
        with browser(viewer) as socket:
            stand_at(socket)
            first(socket, "BackgroundImageMessage", where=lambda m: m["rgb_data"] is not None)
            (client,) = viewer.server.get_clients().values()
            viewer._path(client).add(viewer._camera(client, 10))
        until(lambda: not viewer.server.get_clients() and not viewer.guard.n_connections)

    visit()
    threads = threading.active_count()
    buffered = len(viewer.server._websock_server._broadcast_buffer.message_from_id)
    for _ in range(5):
        visit()
    until(lambda: not viewer._images and not viewer._paths and viewer.renderer.n_waiting == 0)
    assert not viewer.server._websock_server._client_state_from_id
    assert len(viewer.server._websock_server._broadcast_buffer.message_from_id) <= buffered
    # viser's pool for callbacks grows to its fixed size, and no further.
    assert threading.active_count() <= threads + viewer.server._thread_executor._max_workers


def test_a_browser_begins_before_the_object_and_above_its_foot(content):
    up = np.array([0.0, 0.0, -1.0])
    viewer = Viewer(Content("ball", content.scene_to_world, mesh=content.mesh, up=up), port=0)
    viewer.stop()
    place = viewer.server.initial_camera.position
    assert 2.0 < np.linalg.norm(place) < 5.0 and 0.1 < place @ up / np.linalg.norm(place) < 0.6


def test_held_out_views_come_first_and_are_compared(viewer):
    assert list(viewer._views.values())[:2] == [1, 3]
    viewer._compare(None)
    assert "view 1, held out: PSNR" in viewer._status.content and viewer._compared.visible
    viewer._view.value = list(viewer._views)[2]
    viewer._compare(None)
    assert "view 0, trained on" in viewer._status.content


def test_what_is_rendered_is_not_covered_by_the_images_in_frusta(viewer):
    from types import SimpleNamespace

    viewer._choose(SimpleNamespace(target=SimpleNamespace(value="no such thing")))
    assert viewer._what == "mesh" and all(handle.visible for handle in viewer.nodes.handles["cameras"])
    viewer._choose(SimpleNamespace(target=SimpleNamespace(value="depth")))
    assert viewer._what == "depth" and not any(handle.visible for handle in viewer.nodes.handles["cameras"])


def test_a_viewer_that_stopped_has_no_threads_and_its_ports_are_free(content):
    before = set(threading.enumerate())
    viewer = Viewer(content, port=0, heights=(4,))
    ports = viewer.guard.port, viewer.server.get_port()
    viewer.stop()
    until(lambda: not [t for t in set(threading.enumerate()) - before if t.is_alive()])
    for port in ports:
        with pytest.raises(OSError):
            http.client.HTTPConnection("127.0.0.1", port, timeout=2).connect()


def test_without_viser_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(InputError, match=r"pip install 'neus\[view\]'"):
        viser_module()
