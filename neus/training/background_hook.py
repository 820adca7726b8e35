"""A look at the background during training: one colour before varied surroundings means that fog must paint them."""

import torch

from neus.geometry.rays import intersect_sphere
from neus.training.pixels import RayBatch, random_rays
from neus.training.step import StepTerms
from neus.training.trainer import Trainer

# Part of the training after which the background must have learnt something.
CHECKED_AT = 0.3
N_VIEWS, RAYS_PER_VIEW, FEWEST_RAYS = 8, 256, 64
# Standard deviations of colours: a background below the first has one colour, images above the second have several.
ONE_COLOR, VARIED = 1.0 / 255.0, 10.0 / 255.0
SEED = 0


class BackgroundHook:
    """Warns once if the background network gives one colour where the images beside the unit sphere have many."""

    def __init__(self) -> None:
        self.is_done = False

    def __call__(self, trainer: Trainer, terms: StepTerms) -> None:
        """Checks once, when enough of the training is done."""
        if self.is_done or trainer.progress < CHECKED_AT:
            return
        self.is_done = True
        found = background_spreads(trainer)
        if found is not None and found[0] < ONE_COLOR and found[1] > VARIED:
            trainer.on_message(
                f"the background has one colour (spread {255 * found[0]:.1f} grey levels) where the images beside the object have "
                f"many ({255 * found[1]:.0f}): fog in front of it may take its part. Lower train.learning_rate_background."
            )


@torch.no_grad()
def background_spreads(trainer: Trainer) -> tuple[float, float] | None:
    """Standard deviations of the background's colours and of the images' at rays that miss the unit sphere.

    None without a background network, or where hardly any ray misses.
    """
    model, scene = trainer.model, trainer.scene
    if model.config.neus_renderer.n_outside == 0:
        return None
    generator = torch.Generator().manual_seed(SEED)
    views = torch.linspace(0, len(scene) - 1, min(N_VIEWS, len(scene))).round().int().tolist()
    batches = [random_rays(scene, view, RAYS_PER_VIEW, generator) for view in views]
    origins, directions, colors = (
        torch.cat([getattr(batch, name) for batch in batches]) for name in RayBatch.__dataclass_fields__ if name != "masks"
    )
    misses = ~intersect_sphere(origins, directions)[2]
    if misses.sum() < FEWEST_RAYS:
        return None
    rays = (part[misses].to(model.device, torch.float32) for part in (origins, directions))
    rgb = model.behind(*rays).rgb
    return float(rgb.std(dim=0).max()), float(colors[misses].std(dim=0).max())
