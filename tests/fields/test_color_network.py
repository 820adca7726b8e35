import pytest
import torch

from neus.fields.color_network import COLOR_MODES, ColorNetwork, ColorNetworkConfig

SMALL = {"d_feature": 5, "d_hidden": 16, "n_layers": 2}
D_IN = {"idr": 9, "no_view_dir": 6, "no_normal": 6}


def inputs(n=7, d_feature=5):
    unit = torch.nn.functional.normalize
    return (
        torch.randn(n, 3),
        unit(torch.randn(n, 3), dim=-1),
        unit(torch.randn(n, 3), dim=-1),
        torch.randn(n, d_feature),
    )


@pytest.mark.parametrize("mode", COLOR_MODES)
@pytest.mark.parametrize("weight_norm", [True, False])
def test_colors_are_between_black_and_white(mode, weight_norm):
    network = ColorNetwork(ColorNetworkConfig(**SMALL, mode=mode, d_in=D_IN[mode], weight_norm=weight_norm))
    rgb = network(*inputs())
    assert rgb.shape == (7, 3)
    assert (rgb > 0).all() and (rgb < 1).all()


@pytest.mark.parametrize(("mode", "blind_to"), [("no_normal", 1), ("no_view_dir", 2), ("idr", None)])
def test_a_mode_sees_all_but_the_input_it_is_named_for(mode, blind_to):
    network = ColorNetwork(ColorNetworkConfig(**SMALL, mode=mode, d_in=D_IN[mode]))
    given = inputs()
    for i, other in enumerate(inputs()):
        changed = [*given[:i], other, *given[i + 1 :]]
        assert torch.equal(network(*given), network(*changed)) == (i == blind_to)


def test_published_input_order_is_points_views_normals_features():
    network = ColorNetwork(ColorNetworkConfig(d_feature=5, d_hidden=16, n_layers=1))
    columns = {"points": slice(0, 3), "normals": slice(30, 33), "features": slice(33, 38), "views": slice(3, 30)}
    for i, name in enumerate(("points", "normals", "views", "features")):
        with torch.no_grad():
            network.lin0.weight_v.fill_(1e-9)
            network.lin0.weight_v[:, columns[name]] = torch.randn(16, columns[name].stop - columns[name].start)
        given = inputs()
        for j, other in enumerate(inputs()):
            changed = [*given[:j], other, *given[j + 1 :]]
            assert torch.allclose(network(*given), network(*changed), atol=1e-6) == (i != j)


def test_without_squeeze_out_colors_have_no_bounds():
    config = {**SMALL, "squeeze_out": False}
    network = ColorNetwork(ColorNetworkConfig(**config))
    squeezed = ColorNetwork(ColorNetworkConfig(**SMALL))
    squeezed.load_state_dict(network.state_dict())
    given = inputs()
    assert torch.allclose(torch.sigmoid(network(*given)), squeezed(*given))


def test_published_names_and_shapes():
    names = {name: tuple(value.shape) for name, value in ColorNetwork(ColorNetworkConfig()).state_dict().items()}
    expected = {}
    for i, (n_out, n_in) in enumerate([(256, 289), (256, 256), (256, 256), (256, 256), (3, 256)]):
        expected |= {f"lin{i}.bias": (n_out,), f"lin{i}.weight_g": (n_out, 1), f"lin{i}.weight_v": (n_out, n_in)}
    assert list(names.items()) == list(expected.items())
