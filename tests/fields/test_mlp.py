import torch

from neus.fields.mlp import WeightNormLinear, default_linear, linear


def test_weight_norm_starts_with_the_weight_it_is_given():
    weight, bias = torch.randn(5, 3), torch.randn(5)
    x = torch.randn(7, 3)
    for weight_norm in (False, True):
        assert torch.allclose(linear(weight, bias, weight_norm)(x), x @ weight.T + bias, atol=1e-6)


def test_rows_of_a_normalised_weight_have_the_length_g_and_the_direction_of_v():
    layer = WeightNormLinear(torch.randn(5, 3), torch.zeros(5))
    with torch.no_grad():
        layer.weight_g.copy_(torch.arange(1.0, 6.0).unsqueeze(-1))
        layer.weight_v.mul_(17.0)  # its length does not matter
    assert torch.allclose(layer.weight.norm(dim=1), torch.arange(1.0, 6.0))
    assert torch.allclose(torch.cosine_similarity(layer.weight, layer.weight_v, dim=1), torch.ones(5))


def test_gradient_of_a_normalised_weight_is_perpendicular_to_its_direction():
    layer = WeightNormLinear(torch.randn(5, 3), torch.zeros(5))
    layer(torch.randn(11, 3)).square().sum().backward()
    assert torch.allclose((layer.weight_v.grad * layer.weight_v).sum(1), torch.zeros(5), atol=1e-4)


def test_parameters_stand_in_the_order_of_published_optimisers():
    assert [name for name, _ in default_linear(4, 6, True).named_parameters()] == ["bias", "weight_g", "weight_v"]
