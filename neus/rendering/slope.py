"""How steep a signed distance field is, which bounds the steps of a tracer."""

import torch

from neus.rendering.renderer import Fields
from neus.rendering.sphere_tracing import lipschitz_bound

# Points at which the field's greatest slope is estimated, half of them near the surface.
SLOPE_POINTS = 20_000


def slope_of(fields: Fields, n: int = SLOPE_POINTS) -> float:
    """The greatest slope of a scene's distance within the unit ball, of points half of which are moved to the surface."""
    generator = torch.Generator().manual_seed(0)
    around = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=-1)
    points = around * torch.rand(n, 1, generator=generator) ** (1 / 3)
    points = points.to(fields.sharpness.device)
    with torch.no_grad():
        seen = fields.surface.evaluate(points[: n // 2])
        step = seen.sdf.unsqueeze(-1) * seen.gradients / seen.gradients.square().sum(-1, keepdim=True).clamp_min(1e-3)
        points[: n // 2] -= step.clamp(-1.0, 1.0)
        return lipschitz_bound(torch.cat([fields.surface.evaluate(x).gradients for x in points.split(2**13)]))
