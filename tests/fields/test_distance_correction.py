import torch

from neus.fields.distance_correction import DistanceCorrection


def wave(resolution):
    axis = torch.linspace(-1.0, 1.0, resolution)
    x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
    return 0.01 * torch.sin(3.0 * x) * torch.cos(2.0 * y) * (1.0 + z)


def test_offsets_and_gradients_are_those_of_the_function_on_the_lattice():
    correction, points = DistanceCorrection(wave(129)), 1.8 * torch.rand(200, 3, generator=torch.Generator().manual_seed(0)) - 0.9
    points.requires_grad_()
    x, y, z = points.unbind(-1)
    exact = 0.01 * torch.sin(3.0 * x) * torch.cos(2.0 * y) * (1.0 + z)
    gradients = torch.autograd.grad(exact.sum(), points)[0]
    found = points.detach()
    assert torch.allclose(correction(found), exact.detach(), atol=1e-4)
    assert torch.allclose(correction.gradient(found), gradients, atol=4e-4)


def test_a_checkpoint_keeps_what_is_not_zero():
    offsets = wave(33) * (wave(33) > 0.005)
    state = DistanceCorrection(offsets).state()
    assert len(state["values"]) == int((offsets != 0).sum()) < offsets.numel() / 4
    kept = DistanceCorrection.of_state(state).offsets
    assert torch.allclose(kept, offsets, rtol=1e-3, atol=0.0) and torch.equal(kept != 0, offsets != 0)
    assert torch.equal(kept, DistanceCorrection(offsets).offsets)
