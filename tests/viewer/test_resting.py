"""When images come, and when not."""

import math
import threading
import time

import numpy as np
import pytest
import torch

from neus.rendering.renderer import RenderedPixels
from neus.viewer.resting import RestingRenderer
from neus.viewer.viewpoint import camera_at

HEIGHTS = (4, 8, 16)


class Flat:
    """A renderer of one colour that notes its rays, and may be held up."""

    device, rays_at_a_time = torch.device("cpu"), 8

    def __init__(self):
        self.rays, self.go_on, self.fails = 0, threading.Event(), False
        self.go_on.set()

    def render(self, origins, directions, background=None, forward=None):
        self.go_on.wait(10.0)
        if self.fails:
            raise RuntimeError("out of order")
        n = len(origins)
        self.rays += n
        return RenderedPixels(torch.full((n, 3), 0.5), *[torch.ones(n)] * 4, torch.zeros(n, 3))


class Shown:
    """Images in the order in which they came."""

    def __init__(self):
        self.images, self.changed = [], threading.Condition()

    def __call__(self, viewer, what, camera, rendered):
        with self.changed:
            self.images.append((viewer, what, tuple(rendered.rgb.shape[:2]), float(camera.center[0])))
            self.changed.notify_all()

    def wait_for(self, n):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.images) >= n, 10.0), self.images
            return list(self.images)


def at(x):
    return lambda height: camera_at((1, 0, 0, 0), (x, 0, -3), 1.0, 2.0, height)


@pytest.fixture
def parts():
    flat, shown = Flat(), Shown()
    resting = RestingRenderer(flat, shown, HEIGHTS, rest=0.02)
    yield flat, shown, resting
    flat.go_on.set()
    resting.stop()
    assert "neus viewer" not in {thread.name for thread in threading.enumerate()}


def until(condition):
    end = time.monotonic() + 10.0
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    assert condition()


def test_images_come_coarse_then_fine(parts):
    _, shown, resting = parts
    resting.moved(1, at(0.0), "colour")
    assert shown.wait_for(3) == [(1, "colour", (h, 2 * h), 0.0) for h in HEIGHTS]
    until(lambda: resting.n_waiting == 0)


def test_who_moves_gets_no_image_of_where_they_were(parts):
    flat, shown, resting = parts
    flat.go_on.clear()
    resting.moved(1, at(0.0), "colour")
    time.sleep(0.1)  # the first image has begun
    resting.moved(1, at(5.0), "normals")
    flat.go_on.set()
    assert {image[1:2] + image[3:] for image in shown.wait_for(3)} == {("normals", 5.0)}


def test_a_viewer_that_left_is_not_rendered_for(parts):
    flat, shown, resting = parts
    flat.go_on.clear()
    resting.moved(1, at(0.0), "colour")
    time.sleep(0.1)
    resting.forget(1)
    flat.go_on.set()
    resting.moved(2, at(1.0), "colour")
    assert {viewer for viewer, *_ in shown.wait_for(3)} == {2}
    until(lambda: resting.n_waiting == 0)
    # Dropped after the first batch of rays: what one viewer's images take, and no more than a batch of the other's.
    assert flat.rays <= sum(2 * h * h for h in HEIGHTS) + flat.rays_at_a_time


def test_all_viewers_get_their_coarse_image_before_one_gets_a_fine_one(parts):
    flat, shown, resting = parts
    flat.go_on.clear()
    for viewer in (1, 2, 3):
        resting.moved(viewer, at(0.0), "depth")
    time.sleep(0.1)
    flat.go_on.set()
    assert sorted(shown.wait_for(9)[:3]) == [(viewer, "depth", (4, 8), 0.0) for viewer in (1, 2, 3)]


def test_a_renderer_that_fails_and_a_viewpoint_of_nonsense_end_nothing(parts, caplog):
    flat, shown, resting = parts
    flat.fails = True
    resting.moved(1, at(0.0), "colour")
    until(lambda: resting.n_waiting == 0)
    flat.fails = False
    resting.moved(1, at(math.nan), "colour")
    until(lambda: resting.n_waiting == 0)
    assert shown.images == [] and "out of order" in caplog.text
    resting.moved(1, at(0.0), "colour")
    assert len(shown.wait_for(3)) == 3


def test_a_viewer_that_keeps_moving_is_waited_for(parts):
    flat, _, resting = parts
    resting.rest = 0.2
    for step in range(10):
        resting.moved(1, at(float(step)), "colour")
        time.sleep(0.02)
    assert flat.rays == 0 and np.isfinite(resting.rest)
