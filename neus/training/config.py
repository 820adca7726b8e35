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
        n_intervals: of a ray; 0 samples as NeuS does, and all else here has no effect.
        n_intervals_start: the same at the start; 0 is `n_intervals` throughout.
        uniform_fraction: of the intervals, spread along the ray so that a surface may appear where none is.
        uniform_fraction_start: the same at the start.
        wide_sampling_until: fraction of the training in which both go from their start to their end.
        patch: rays are drawn in squares of so many pixels; neighbours read the same memory.
        inside_fraction: of the rays, within the masks.
        near_fraction: of the rays, close around the masks; the rest is anywhere in the sphere.
        batch_growth: from `batch_growth_at` on a batch has so many times `batch_size` rays.
        batch_growth_at: fraction of the training.
        initial_shape: start from a shape by stereo: depth maps, their fusion and sweeps of the surface (`stereo/`), within the visual
            hull if there are masks; else from a sphere.
        final_sweep: after the last iteration sweep the trained surface once more, if it started from stereo; the mesh follows it if images
            held back from the sweep agree better (`FinalSweep`).
        prior_weight: of the loss at surface points that views agree about (`SurfaceTeacher`), at the start; it decays.
        prior_until: fraction of the training in which these points take part.
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
        learning_rate: of Adam, at the end of the warm-up.
        learning_rate_table: the same for the table of a hash surface.
        learning_rate_color_table: the same for the table of its colours.
        learning_rate_background: the same for the layers of a hash background; 0 is that of the networks.
        learning_rate_background_table: the same for the table of a hash background.
        learning_rate_sharpness: the same for the sharpness of the surface; 0 is that of the networks.
        learning_rate_surface: the same for the layers of a hash surface; 0 is that of the networks.
        learning_rate_alpha: fraction of all that is left at the end.
        learning_rate_decay: `cosine` as in NeuS, or `exponential`.
        end_iter: iterations in all.
        batch_size: rays per iteration.
        warm_up_end: iterations of rising learning rate.
        anneal_end: iterations until the slope of the surface is fully trusted; 0 from the start.
        levels_start: levels of a hash surface that are on at the start, from the coarsest.
        levels_end: iteration from which all are on, one after another at even intervals; 0 from the start.
        use_white_bkgd: the images have a white background.
        igr_weight: of the Eikonal term (lambda).
        curvature_weight: of the bending of the surface, which smooths the creases of a hash grid.
        mask_weight: of the silhouettes (beta); above 0 the scene must have masks.
        color_huber: colour differences below this count as their square; 0 as in NeuS, as they are.
        exposure: `affine` brings all views to one exposure and white balance, by an affine map of each view and channel fitted at
            the surface points of the initial shape; `auto` does so where views differ and not as the places of their cameras do, and
            not without an initial shape; `none` takes images as they are, as NeuS does.
        guided_sampling: how rays are cut into few intervals.
        report_freq: iterations between lines of metrics.
        val_freq: between validation images; 0 is never.
        val_mesh_freq: between snapshots of the mesh; 0 is never.
        save_freq: between checkpoints.
        validate_resolution_level: validation images are this many times smaller each way.
        validate_mesh_resolution: lattice points per axis of mesh snapshots.
        keep_checkpoints: how many of the newest stay; 0 keeps all.
        seed: of everything random.
        precision: of the products in the networks while training, see `neus.fields.precision`; what is shown is in float32.
        cuda_graphs: record NeuS's steps of networks on a CUDA device and replay them.
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
