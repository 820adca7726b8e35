"""Trilinear values: the compiled form against the reference, and both on functions that they must reproduce."""

import numpy as np
import pytest
import torch

from neus.kernels.jit import compiled
from neus.kernels.trilinear import cpu, reference


@compiled
def _read_all(values, points, out):
    for m in range(len(points)):
        out[m] = cpu.trilinear(values, points[m, 0], points[m, 1], points[m, 2])


def on_cpu(values, points):
    out = np.empty(len(points), points.numpy().dtype)
    _read_all(values.numpy(), points.numpy(), out)
    return torch.from_numpy(out)


FORMS = pytest.mark.parametrize("trilinear", [reference.trilinear, on_cpu], ids=["reference", "cpu"])


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.float64, 1e-13)])
@pytest.mark.parametrize("n", [2, 3, 17])
def test_the_compiled_form_equals_the_reference(n, dtype, tolerance):
    values, points = torch.randn(n, n, n, dtype=dtype), torch.rand(500, 3, dtype=dtype) * 2.4 - 1.2
    assert torch.allclose(on_cpu(values, points), reference.trilinear(values, points), atol=tolerance)


@FORMS
def test_products_of_coordinates_are_reproduced(trilinear):
    x, y, z = torch.meshgrid(*[torch.linspace(-1.0, 1.0, 5)] * 3, indexing="ij")
    points = torch.rand(200, 3) * 2.0 - 1.0
    expected = 1.0 + points[:, 0] - 2.0 * points[:, 1] * points[:, 2] + points.prod(dim=1)
    # Between vertices that lie on a straight line along each axis.
    assert torch.allclose(trilinear(1.0 + x - 2.0 * y * z + x * y * z, points), expected, atol=1e-5)
    assert (trilinear(torch.full((5, 5, 5), 0.1), points) == 0.1).all()


@FORMS
def test_outside_the_box_values_are_those_of_its_nearest_point(trilinear):
    values = torch.randn(4, 4, 4)
    outside = torch.tensor([[1.5, 0.2, -0.3], [-7.0, 3.0, 0.1], [1e30, -1e30, 0.0], [1.0, -1.0, 1.0]])
    assert torch.allclose(trilinear(values, outside), trilinear(values, outside.clamp(-1.0, 1.0)))
    assert torch.allclose(trilinear(values, outside)[3], values[3, 0, 3])


@FORMS
def test_what_is_not_a_number_stays_so_where_it_is_met(trilinear):
    values = torch.zeros(5, 5, 5)
    values[4] = torch.nan
    points = torch.tensor([[torch.nan, 0.0, 0.0], [0.9, 0.1, 0.2], [0.4, 0.1, 0.2]])
    assert trilinear(values, points).isnan().tolist() == [True, True, False]
