"""Settings of training: conf section `train`, with NeuS's keys and a few more."""

from dataclasses import dataclass, replace

from neus.settings import at_least


@dataclass(frozen=True)
class TrainConfig:
    """How long, how fast, and what is written when.

    Attributes:
        learning_rate: of Adam, at the end of the warm-up.
        learning_rate_table: the same for the table of a hash surface.
        learning_rate_alpha: share of both that is left at the end.
        end_iter: iterations in all.
        batch_size: rays per iteration.
        warm_up_end: iterations of rising learning rate.
        anneal_end: iterations until the slope of the surface is fully trusted; 0 from the start.
        levels_start: levels of a hash surface that are on at the start, from the coarsest.
        levels_end: iteration from which all are on, one after another at even intervals; 0 from the start.
        use_white_bkgd: the photographs have a white background.
        igr_weight: of the Eikonal term (lambda).
        mask_weight: of the silhouettes (beta); above 0 the scene must have masks.
        report_freq: iterations between lines of metrics.
        val_freq: between validation pictures; 0 is never.
        val_mesh_freq: between snapshots of the mesh; 0 is never.
        save_freq: between checkpoints.
        validate_resolution_level: validation pictures are this many times smaller each way.
        validate_mesh_resolution: lattice points per axis of mesh snapshots.
        keep_checkpoints: how many of the newest stay; 0 keeps all.
        seed: of everything random.
    """

    learning_rate: float = at_least(0.0, default=5e-4)
    learning_rate_table: float = at_least(0.0, default=5e-3)
    learning_rate_alpha: float = at_least(0.0, default=0.05)
    end_iter: int = at_least(1, default=300_000)
    batch_size: int = at_least(1, default=512)
    warm_up_end: int = at_least(0, default=0)
    anneal_end: int = at_least(0, default=0)
    levels_start: int = at_least(1, default=4)
    levels_end: int = at_least(0, default=0)
    use_white_bkgd: bool = False
    igr_weight: float = at_least(0.0, default=0.1)
    mask_weight: float = at_least(0.0, default=0.0)
    report_freq: int = at_least(1, default=100)
    val_freq: int = at_least(0, default=2500)
    val_mesh_freq: int = at_least(0, default=5000)
    save_freq: int = at_least(1, default=10_000)
    validate_resolution_level: int = at_least(1, default=4)
    validate_mesh_resolution: int = at_least(8, default=64)
    keep_checkpoints: int = at_least(0, default=5)
    seed: int = at_least(0, default=0)


def with_iterations(config: TrainConfig, n_iterations: int) -> TrainConfig:
    """The same training in `n_iterations` iterations: levels and annealing keep their share of it.

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
