import pytest
import torch

from neus.rendering import queries
from neus.rendering.queries import fastest_sdf, is_fused
from tests.training.test_fused import hash_model


@pytest.mark.skipif(not queries.runs_compiled("fused_step", torch.device("cpu")), reason="numba does not work here")
def test_a_hash_model_on_a_cpu_is_evaluated_by_the_fused_kernel_and_agrees(monkeypatch):
    model = hash_model()
    points = torch.rand(5000, 3) * 2.4 - 1.2
    expected = model.sdf(points)
    assert is_fused(model)
    monkeypatch.setattr(model.sdf_network, "sdf", None)
    assert torch.allclose(fastest_sdf(model)(points), expected, atol=2e-6)
    assert fastest_sdf(model)(points[:0]).shape == (0,)


def test_the_distance_of_a_point_does_not_depend_on_its_neighbours():
    sdf, points = fastest_sdf(hash_model()), torch.rand(999, 3)
    assert torch.equal(sdf(points)[500:501], sdf(points[500:501]))


def test_what_the_kernel_cannot_do_is_evaluated_by_the_model(monkeypatch):
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    model = hash_model()
    points = torch.rand(70_000, 3)
    assert not is_fused(model)
    distances = fastest_sdf(model)(points)
    assert torch.allclose(distances, model.sdf(points)) and not distances.requires_grad
