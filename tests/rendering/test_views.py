import numpy as np
import pytest
import torch

from neus.geometry.cameras import Camera
from neus.geometry.poses import look_at
from neus.geometry.rays import intersect_sphere, pixel_centers, rays_from_pixels
from neus.rendering import views
from neus.rendering.renderer import render_rays
from neus.rendering.views import depth_image, normal_image, render_view, rgb_image
from neus.runs.build import build_model
from tests.rendering.closed_forms import FINE, Sphere, fields_of
from tests.rendering.test_model import SMALL, with_background

RADIUS = 0.5


class SphereModel:
    """A sphere in closed form, in the place of a trained model."""

    config = SMALL
    device = torch.device("cpu")

    def render(self, origins, directions, background=None, **options):
        return render_rays(fields_of(Sphere(RADIUS)), origins, directions, FINE, background, **options)


@pytest.fixture
def camera():
    intrinsics = torch.tensor([[30.0, 0.0, 12.0], [0.0, 30.0, 8.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    center = torch.tensor([1.0, -1.5, -2.0], dtype=torch.float64)
    pose = look_at(center, torch.zeros(3, dtype=torch.float64), torch.tensor([0.0, -1.0, 0.0], dtype=torch.float64))
    return Camera(intrinsics, pose, 24, 16)


def closed_form(camera):
    """(H, W) distances and hits of the sphere."""
    rays = rays_from_pixels(pixel_centers(camera.width, camera.height), camera.intrinsics, camera.camera_to_scene)
    enters, _, hits = intersect_sphere(*(x.reshape(-1, 3) for x in rays), RADIUS)
    return enters.reshape(16, 24), hits.reshape(16, 24), rays[1]


def test_a_view_shows_every_pixel_where_its_ray_goes(camera):
    seen = render_view(SphereModel(), camera)
    enters, hits, directions = closed_form(camera)
    certain = seen.foreground.sub(0.5).abs() > 0.45  # rays that graze the sphere are half opaque
    assert certain.float().mean() > 0.95
    assert torch.equal((seen.foreground > 0.5)[certain], hits[certain])
    solid = hits & certain
    assert (seen.t - enters)[solid].abs().max() < 0.01
    along_axis = directions @ camera.forward
    assert torch.allclose(seen.depth[solid], (seen.t * along_axis)[solid].float(), atol=1e-5)
    assert seen.rgb.shape == seen.normals.shape == (16, 24, 3) and seen.opacity.shape == (16, 24)


@pytest.mark.parametrize("config", [SMALL, with_background()])
def test_chunks_do_not_show(camera, config):
    model = build_model(config)
    whole, parts = (render_view(model, camera, max_points=n) for n in (10**6, 1000))
    for name, value in vars(whole).items():
        # Rounding differs with the size of the matrices, and up-sampling amplifies it.
        assert torch.allclose(value, getattr(parts, name), atol=2e-4), name


def test_progress_counts_all_rays(camera):
    calls = []
    render_view(SphereModel(), camera, on_progress=lambda *call: calls.append(call), max_points=32 * 100)
    assert calls == [(100, 384), (200, 384), (300, 384), (384, 384)]


def test_background_fills_the_misses(camera):
    seen = render_view(SphereModel(), camera, background=torch.tensor([0.0, 1.0, 0.0]))
    assert torch.allclose(seen.rgb[0, 0], torch.tensor([0.0, 1.0, 0.0]), atol=2e-3)


def test_rendering_a_view_leaves_no_graph_and_no_randomness(camera):
    model = build_model(SMALL)
    first, second = render_view(model, camera), render_view(model, camera)
    assert not first.rgb.requires_grad and torch.equal(first.rgb, second.rgb)


def test_normals_that_face_the_camera_are_blue_and_nothing_is_white(camera):
    image = normal_image(render_view(SphereModel(), camera), camera)
    assert image.dtype == np.uint8 and image.shape == (16, 24, 3)
    assert (image[0, 0] >= 254).all()
    # The middle of the sphere faces the camera; left of it normals point left, above it they point up.
    row, column = 8, 12
    assert np.allclose(image[row, column].astype(int), [128, 128, 255], atol=16)
    assert image[row, column - 4, 0] < 100 < 150 < image[row, column + 4, 0]
    assert image[row - 4, column, 1] > 150 > 100 > image[row + 4, column, 1]


def test_near_is_brighter_than_far_in_a_depth_image_and_nothing_is_black(camera):
    seen = render_view(SphereModel(), camera)
    image = depth_image(seen)
    assert image.shape == (16, 24, 3) and (image[0, 0] == 0).all()
    assert image[8, 12, 0] > 240 and image[8, 8, 0] < image[8, 12, 0]
    nothing = depth_image(views.RenderedView(**{k: torch.zeros_like(v) for k, v in vars(seen).items()}))
    assert (nothing == 0).all()


def test_colors_beyond_white_and_black_are_clipped(camera):
    seen = render_view(SphereModel(), camera)
    seen.rgb[0, 0] = torch.tensor([1.5, -0.5, 0.5])
    assert rgb_image(seen)[0, 0].tolist() == [255, 0, 128]


def test_chunks_are_smaller_on_a_cpu_than_on_a_gpu_and_never_empty():
    model = SphereModel()
    assert views.rays_per_chunk(model) == views.MAX_POINTS_CPU // 32
    assert views.rays_per_chunk(model, 1) == 1
