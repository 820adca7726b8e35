import pytest
import torch
from torch import nn

from neus.rendering.behind import background_t, render_behind
from neus.rendering.renderer import RendererConfig

# How far the stretch along a ray reaches: that of the unit sphere, or one of length 2 around the place nearest to its centre.
STRETCHES = ["sphere", "neus"]


def rays_away(n_rays=200):
    """Origins outside the unit sphere, and directions that lead away from it."""
    generator = torch.Generator().manual_seed(0)
    outwards = torch.nn.functional.normalize(torch.randn(n_rays, 3, generator=generator), dim=-1)
    origins = outwards * torch.linspace(1.05, 5.0, n_rays).unsqueeze(-1)
    aside = 0.3 * torch.randn(n_rays, 3, generator=generator)
    return origins, torch.nn.functional.normalize(outwards + aside - (aside * outwards).sum(-1, keepdim=True) * outwards, dim=-1)


@pytest.mark.parametrize("near_far", STRETCHES)
@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_the_background_is_sampled_before_the_camera_whichever_way_it_looks(near_far, jitter):
    config = RendererConfig(n_outside=8, near_far=near_far)
    origins, directions = rays_away()
    for towards in (directions, -directions):
        t = background_t(origins, towards, config, torch.Generator().manual_seed(1), jitter)
        assert (t >= 0.0).all() and (t[:, 1:] > t[:, :-1]).all()


class BehindTheCamera(nn.Module):
    """Red and opaque where z > -2, on the inverted sphere; nothing elsewhere."""

    def forward(self, points, directions):
        z = points[..., 2] / points[..., 3]
        return 100.0 * (z > -2.0), torch.tensor([1.0, 0.0, 0.0]).expand(*z.shape, 3)


@pytest.mark.parametrize("near_far", STRETCHES)
def test_what_lies_behind_the_camera_is_not_seen(near_far):
    config = RendererConfig(n_outside=16, near_far=near_far)
    origins, down = torch.tensor([[0.0, 0.0, -2.0], [0.5, 0.2, -2.0]]), torch.tensor([[0.0, 0.0, -1.0]]).expand(2, 3)
    seen = render_behind(BehindTheCamera(), origins, down, config)
    assert torch.equal(seen.rgb, torch.zeros(2, 3)) and torch.equal(seen.opacity, torch.zeros(2))
    # Turned round, the same cameras see it.
    assert render_behind(BehindTheCamera(), origins, -down, config).rgb[:, 0].min() > 0.99
