import pytest
import torch

from neus.fields.background import Nerf, NerfConfig
from neus.geometry.contraction import inverted_sphere

SMALL = NerfConfig(D=3, W=16, multires=2, multires_view=1, skips=(1,))


def test_density_is_not_negative_and_colors_are_between_black_and_white():
    points = inverted_sphere(3.0 * torch.randn(5, 7, 3))
    density, rgb = Nerf(SMALL)(points, torch.nn.functional.normalize(torch.randn(5, 7, 3), dim=-1))
    assert density.shape == (5, 7) and rgb.shape == (5, 7, 3)
    assert (density >= 0).all() and (rgb > 0).all() and (rgb < 1).all()


def test_density_is_the_same_from_everywhere():
    network = Nerf(SMALL)
    points, directions = torch.randn(6, 4), torch.nn.functional.normalize(torch.randn(2, 6, 3), dim=-1)
    (density, rgb), (other_density, other_rgb) = network(points, directions[0]), network(points, directions[1])
    assert torch.equal(density, other_density) and not torch.equal(rgb, other_rgb)


def test_published_names_and_shapes():
    names = {name: tuple(value.shape) for name, value in Nerf(NerfConfig()).state_dict().items()}
    layers = [(f"pts_linears.{i}", 256, {0: 84, 5: 340}.get(i, 256)) for i in range(8)]
    layers += [("views_linears.0", 128, 283), ("feature_linear", 256, 256), ("alpha_linear", 1, 256)]
    layers += [("rgb_linear", 3, 128)]
    expected = {}
    for name, n_out, n_in in layers:
        expected |= {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}
    assert list(names.items()) == list(expected.items())


def test_a_background_blind_to_directions_is_refused():
    with pytest.raises(ValueError, match="use_viewdirs"):
        Nerf(NerfConfig(use_viewdirs=False))
