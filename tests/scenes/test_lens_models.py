import numpy as np
import pycolmap
import pytest

from neus.errors import InputError
from neus.scenes.lens_models import distorted, extra_parameters, maps_from, pinhole_within

SIZE = (120, 90)
K = np.array([[52.0, 0.0, 61.3], [0.0, 52.0, 43.1], [0.0, 0.0, 1.0]])
LENSES = {
    "OPENCV_FISHEYE": (0.05, -0.01, 0.003, 0.001),
    "SIMPLE_RADIAL_FISHEYE": (0.04,),
    "RADIAL_FISHEYE": (0.04, -0.01),
    "THIN_PRISM_FISHEYE": (0.05, -0.01, 0.001, 0.002, 0.001, 0.0, 0.001, -0.001),
    "SIMPLE_FISHEYE": (),
    "FOV": (0.9,),
    "FULL_OPENCV": (0.1, 0.02, 0.001, 0.002, 0.001, 0.05, 0.0, 0.0),
}


@pytest.mark.parametrize("model", LENSES)
def test_each_pinhole_pixel_shows_what_the_lens_has_there(model):
    pinhole = pinhole_within(model, LENSES[model], K, SIZE)
    columns, rows = maps_from(model, LENSES[model], K, pinhole, SIZE)
    camera = pycolmap.Camera.create_from_model_name(1, model, 52.0, *SIZE)
    parameters = np.array(camera.params)
    parameters[camera.focal_length_idxs()] = 52.0
    parameters[camera.principal_point_idxs()] = [61.3, 43.1]
    parameters[camera.extra_params_idxs()] = LENSES[model]
    camera.params = parameters
    for x, y in [(0, 0), (119, 0), (60, 45), (3, 88), (119, 89)]:
        ray = np.linalg.inv(pinhole) @ [x, y, 1.0]
        np.testing.assert_allclose([columns[y, x], rows[y, x]], camera.img_from_cam(ray), atol=1e-4)


@pytest.mark.parametrize("model", LENSES)
def test_the_pinhole_camera_shows_no_border_and_most_of_the_image(model):
    pinhole = pinhole_within(model, LENSES[model], K, SIZE)
    columns, rows = maps_from(model, LENSES[model], K, pinhole, SIZE)
    assert columns.min() >= -0.5 and columns.max() <= SIZE[0] - 0.5
    assert rows.min() >= -0.5 and rows.max() <= SIZE[1] - 0.5
    assert np.ptp(columns) > 0.75 * SIZE[0] and np.ptp(rows) > 0.75 * SIZE[1]


def test_an_equidistant_fisheye_shows_the_angle_itself():
    angles = np.linspace(-1.2, 1.2, 9)
    points = np.column_stack([np.tan(angles), np.zeros(9)])
    np.testing.assert_allclose(distorted("OPENCV_FISHEYE", (0.0,) * 4, points)[:, 0], angles, atol=1e-12)


def test_a_lens_as_wide_as_the_sky_gives_a_camera_of_finite_width():
    wide = np.diag([20.0, 20.0, 1.0])
    wide[:2, 2] = [60.0, 45.0]
    pinhole = pinhole_within("OPENCV_FISHEYE", (0.0,) * 4, wide, SIZE)
    half_angle = np.degrees(np.arctan(60.0 / pinhole[0, 0]))
    assert 40 < half_angle < 60


def test_a_panorama_is_refused():
    camera = pycolmap.Camera(model="EQUIRECTANGULAR", width=40, height=20, params=[40, 20])
    with pytest.raises(InputError, match="EQUIRECTANGULAR: a panorama"):
        extra_parameters(camera)
