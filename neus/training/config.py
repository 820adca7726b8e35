"""Settings of training: config section `train`, with NeuS's keys and a few more."""

from dataclasses import dataclass, field, replace

from neus.fields.precision import PRECISIONS
from neus.settings import at_least, between, one_of

# Shorter intervals than a thousandth of the sphere, or patches of more rays than a batch, only take memory.
MAX_INTERVALS, MAX_PATCH = 1024, 256
# The largest seed of torch's generators that is a signed number.
MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class GuidedSamplingConfig:
    """Config section `train.guided_sampling`: few intervals per ray, where a coarse grid of distances sees the surface.

    Attributes:
        n_intervals: number of intervals per ray at the end; 0: samples as in NeuS, and nothing else in this section has an effect.
        n_intervals_start: number of intervals per ray at the start; 0: `n_intervals` throughout.
        uniform_fraction: fraction of the intervals that is spread evenly along the ray, so that a surface can appear in empty space.
        uniform_fraction_start: `uniform_fraction` at the start.
        wide_sampling_until: fraction of the training over which both change from their value at the start to that at the end.
        patch: side of the squares of pixels in which rays are sampled; neighbours read the same memory.
        inside_fraction: fraction of the rays within the masks.
        near_fraction: fraction of the rays close around the masks; the rest is anywhere in the sphere.
        batch_growth: factor by which batches are larger than `batch_size` from `batch_growth_at` on.
        batch_growth_at: fraction of the training after which batches grow.
        initial_shape: whether to start from a shape by stereo: depth maps, their fusion and sweeps of the surface (`stereo/`), within
            the visual hull if there are masks; else from a sphere.
        final_sweep: whether the trained surface is swept once more at the end, if it started from stereo; the mesh follows it if images
            held back from the sweep agree better (`FinalSweep`).
        prior_weight: weight, at the start, of the loss at surface points that views agree about (`SurfaceTeacher`); it decays.
        prior_until: fraction of the training in which these points are used.
    """

    n_intervals: int = between(0, MAX_INTERVALS, default=0)
    n_intervals_start: int = between(0, MAX_INTERVALS, default=0)
    uniform_fraction: float = between(0.0, 1.0, default=0.3)
    uniform_fraction_start: float = between(0.0, 1.0, default=0.3)
    wide_sampling_until: float = between(0.0, 1.0, default=0.0)
    patch: int = between(1, MAX_PATCH, default=2)
    inside_fraction: float = between(0.0, 1.0, default=0.8)
    near_fraction: float = between(0.0, 1.0, default=0.1)
    batch_growth: int = at_least(1, default=2)
    batch_growth_at: float = between(0.0, 1.0, default=0.5)
    initial_shape: bool = True
    final_sweep: bool = True
    prior_weight: float = at_least(0.0, default=100.0)
    prior_until: float = between(0.0, 1.0, default=0.6)


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast, and what is written when.

    Attributes:
        learning_rate: Adam's learning rate for the networks, after the warm-up.
        learning_rate_table: learning rate of the hash table of a hash surface.
        learning_rate_color_table: learning rate of the hash table of its colours.
        learning_rate_background: learning rate of the layers of a hash background; 0: `learning_rate`.
        learning_rate_background_table: learning rate of the hash table of a hash background.
        learning_rate_sharpness: learning rate of the sharpness; 0: `learning_rate`.
        learning_rate_surface: learning rate of the layers of a hash surface; 0: `learning_rate`.
        learning_rate_alpha: fraction of all learning rates that remains at the end.
        learning_rate_decay: shape of the decay: `cosine` as in NeuS, or `exponential`.
        end_iter: total number of iterations.
        batch_size: rays per iteration.
        warm_up_end: iterations over which the learning rate rises from 0.
        anneal_end: iterations until the angle between ray and surface is fully used (NeuS's cosine annealing); 0: from the start.
        levels_start: number of levels of a hash surface that are active at the start, from the coarsest.
        levels_end: iteration from which all levels are active, added one by one at even intervals; 0: from the start.
        use_white_bkgd: whether the images have a white background.
        igr_weight: weight of the Eikonal term (lambda).
        curvature_weight: weight of the curvature term, which smooths the creases of a hash grid.
        mask_weight: weight of the mask loss (beta); above 0 the scene must have masks.
        color_huber: colour differences below this count quadratically, larger ones linearly; 0: all linearly, as in NeuS.
        exposure: `affine` brings all views to one exposure and white balance, by an affine map of each view and channel fitted at
            the surface points of the initial shape; `auto` does so where views differ and not as the places of their cameras do, and
            not without an initial shape; `none` takes images as they are, as NeuS does.
        guided_sampling: how rays are cut into few intervals.
        report_freq: iterations between two lines of metrics.
        val_freq: iterations between two validation images; 0: none.
        val_mesh_freq: iterations between two snapshots of the mesh; 0: none.
        save_freq: iterations between two checkpoints.
        validate_resolution_level: factor by which validation images are smaller along each side.
        validate_mesh_resolution: lattice points per axis of mesh snapshots.
        keep_checkpoints: number of newest checkpoints that are kept; 0: all.
        seed: random seed.
        precision: of the matrix products in the networks while training (`neus.fields.precision`); images and meshes use float32.
        cuda_graphs: whether training steps on a CUDA device are recorded once as a CUDA graph and replayed.
    """

    learning_rate: float = at_least(0.0, default=5e-4)
    learning_rate_table: float = at_least(0.0, default=5e-3)
    learning_rate_color_table: float = at_least(0.0, default=1e-2)
    learning_rate_background: float = at_least(0.0, default=0.0)
    learning_rate_background_table: float = at_least(0.0, default=1e-2)
    learning_rate_sharpness: float = at_least(0.0, default=0.0)
    learning_rate_surface: float = at_least(0.0, default=0.0)
    learning_rate_alpha: float = between(0.0, 1.0, default=0.05)
    learning_rate_decay: str = one_of(("cosine", "exponential"), default="cosine")
    end_iter: int = at_least(1, default=300_000)
    batch_size: int = at_least(1, default=512)
    warm_up_end: int = at_least(0, default=0)
    anneal_end: int = at_least(0, default=0)
    levels_start: int = at_least(1, default=4)
    levels_end: int = at_least(0, default=0)
    use_white_bkgd: bool = False
    igr_weight: float = at_least(0.0, default=0.1)
    curvature_weight: float = at_least(0.0, default=0.0)
    mask_weight: float = at_least(0.0, default=0.0)
    color_huber: float = at_least(0.0, default=0.0)
    exposure: str = one_of(("none", "auto", "affine"), default="none")
    guided_sampling: GuidedSamplingConfig = field(default_factory=GuidedSamplingConfig)
    report_freq: int = at_least(1, default=100)
    val_freq: int = at_least(0, default=2500)
    val_mesh_freq: int = at_least(0, default=5000)
    save_freq: int = at_least(1, default=10_000)
    validate_resolution_level: int = at_least(1, default=4)
    validate_mesh_resolution: int = at_least(8, default=64)
    keep_checkpoints: int = at_least(0, default=5)
    seed: int = between(0, MAX_SEED, default=0)
    precision: str = one_of(PRECISIONS, default="float32")
    cuda_graphs: bool = False


def with_iterations(config: TrainConfig, n_iterations: int) -> TrainConfig:
    """The same training in `n_iterations` iterations: levels and annealing keep their fraction of it.

    The warm-up, which the optimiser's moments need at any length, is only cut to a tenth; what is written now and then is
    written at least once.

    >>> short = with_iterations(TrainConfig(end_iter=1000, anneal_end=500, levels_end=600, warm_up_end=50), 200)
    >>> short.end_iter, short.anneal_end, short.levels_end, short.warm_up_end, short.save_freq
    (200, 100, 120, 20, 200)
    """

    def scaled(iterations: int) -> int:
        return max(1, round(iterations * n_iterations / config.end_iter)) if iterations else 0

    return replace(
        config,
        end_iter=n_iterations,
        anneal_end=scaled(config.anneal_end),
        levels_end=scaled(config.levels_end),
        warm_up_end=min(config.warm_up_end, n_iterations // 10),
        report_freq=min(config.report_freq, n_iterations),
        val_freq=min(config.val_freq, n_iterations),
        val_mesh_freq=min(config.val_mesh_freq, n_iterations),
        save_freq=min(config.save_freq, n_iterations),
    )
