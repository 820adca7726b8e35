"""The viewer as a browser shows it."""

import time

import numpy as np
import pytest
import torch
import trimesh

from neus.geometry.similarity import similarity
from neus.rendering.renderer import RenderedPixels
from neus.viewer.content import Content
from neus.viewer.server import Viewer
from tests.browser import tab_at

pytest.importorskip("viser", reason="viser is not installed: pip install 'neus[view]'")
pytestmark = pytest.mark.slow
SECONDS = 60.0


class RedBall:
    """A red ball of radius 0.9 at the origin, in a blue world: what the mesh never looks like."""

    device, rays_at_a_time = torch.device("cpu"), 2**16

    def render(self, origins, directions, background=None, forward=None):
        along = -(origins * directions).sum(-1)
        gap = (origins.square().sum(-1) - along.square()).clamp_min(0.0)
        hits = (gap < 0.81).float()
        t = (along - (0.81 - gap).clamp_min(0.0).sqrt()) * hits
        rgb = torch.where(hits[:, None] > 0, torch.tensor([0.9, 0.1, 0.1]), torch.tensor([0.0, 0.0, 0.8]))
        depth = t * (directions * forward).sum(-1)
        return RenderedPixels(rgb, hits, hits, depth, t, torch.zeros_like(directions))


def share(image, color):
    """The part of the image, without the controls at its right, that has a colour."""
    left = image[:, : image.shape[1] // 2].astype(int)
    return float((np.abs(left - color).max(axis=-1) < 60).mean())


def test_the_mesh_is_seen_then_the_rendering_and_a_view_is_gone_to(tmp_path):
    mesh = trimesh.creation.icosphere(3, radius=0.9)
    mesh.visual.vertex_colors = np.full((len(mesh.vertices), 4), (40, 200, 40, 255), np.uint8)
    viewer = Viewer(Content("ball", similarity(1.0, torch.zeros(3)).double(), mesh=mesh, renderer=RedBall()), port=0)
    try:
        with tab_at(viewer.address, tmp_path / "profile", (900, 600)) as tab:
            end = time.monotonic() + SECONDS
            while not viewer.server.get_clients() and time.monotonic() < end:
                time.sleep(0.1)
            tab.wait_for("document.body.innerText.includes('surface')")
            assert "Share" not in tab.value("document.body.innerText")
            assert tab.value("location.search") == ""  # the token is no longer in the address

            def wait_for(condition):
                end = time.monotonic() + SECONDS
                while not condition(image := tab.image()) and time.monotonic() < end:
                    time.sleep(0.5)
                return image

            def is_green(image):
                left = image[:, : image.shape[1] // 2].astype(int)
                return float(((left[..., 1] > left[..., 0] + 40) & (left[..., 1] > left[..., 2] + 40)).mean()) > 0.03

            assert is_green(wait_for(is_green))
            viewer._what = "colour"
            (client,) = viewer.server.get_clients().values()
            viewer._moved(client)
            image = wait_for(lambda image: share(image, (230, 26, 26)) > 0.03)
            # The rendering covers the mesh, and fills what is around it.
            assert share(image, (230, 26, 26)) > 0.03 and share(image, (0, 0, 204)) > 0.1 and not is_green(image)
    finally:
        viewer.stop()
