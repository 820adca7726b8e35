"""How rays are sampled and composited: NeuS's keys and a few more."""

from dataclasses import dataclass

from neus.rendering.density import DENSITIES
from neus.settings import at_least, one_of


@dataclass(frozen=True)
class RendererConfig:
    """Config section `model.neus_renderer`, with NeuS's keys.

    Attributes:
        n_samples: even samples per ray.
        n_importance: samples added near the surface.
        n_outside: samples of the background; 0 is without background network.
        up_sample_steps: rounds in which `n_importance` samples are placed.
        perturb: jitter of the even samples while training, in steps.
        density: `logistic` (NeuS), `laplace` (VolSDF) or `occupancy` (UNISURF).
        near_far: where rays sample the surface. `neus`: one unit on either side of their point nearest to the centre, with
            the background network at all samples beyond radius 1, those before the unit sphere as well. `sphere`: from where they
            enter the unit sphere to where they leave it, with the background behind it alone; grid-guided training needs that.
    """

    n_samples: int = at_least(2, default=64)
    n_importance: int = at_least(0, default=64)
    n_outside: int = at_least(0, default=32)
    up_sample_steps: int = at_least(1, default=4)
    perturb: float = at_least(0.0, default=1.0)
    density: str = one_of(tuple(DENSITIES), default="logistic")
    near_far: str = one_of(("neus", "sphere"), default="neus")
