"""Specs for a family that trains in minutes on two cores: small, a sphere at the start, rates that fall by a cosine."""

import os
from pathlib import Path

from neus.fields.latent_sdf import LatentSdfConfig
from neus.shapes.data_folder import TEST, TRAIN
from neus.shapes.specs import Specs, specs_content, specs_of

# Samples in a step, over so many shapes: few enough that steps take a thirtieth of a second on a core.
SCENES_PER_BATCH, SAMPLES_PER_SCENE = 24, 128
# Learning rates of weights and codes at the start; at the end a hundredth.
RATES, FINAL = (2e-3, 5e-3), 0.01
# Deviation of the codes at the start: the shapes begin close to each other, as one sphere.
CODE_START = 0.1
# Steps where neither minutes nor specs are given.
DEFAULT_STEPS = 6000


def network_of(width: int = 128, layers: int = 4, code: int = 16, softplus: float = 0.0) -> LatentSdfConfig:
    """A decoder with weight normalisation on all hidden layers, that sees code and point again half way."""
    return LatentSdfConfig(
        (width,) * layers, code, (layers // 2,) if layers > 1 else (), tuple(range(layers)), softplus_beta=softplus
    )


def family_specs(data: Path, run: Path, network: LatentSdfConfig, seed: int = 0, truncation: float = 0.1, n_shapes: int = 60) -> Specs:
    """Specs to train on a data folder; its path is kept relative to the run folder, so both can be moved together."""
    folder = Path(os.path.relpath(Path(data).resolve(), Path(run).resolve())).as_posix()
    batches = max(1, n_shapes // min(SCENES_PER_BATCH, n_shapes))
    content = specs_content(
        network,
        Description=f"a prior of {Path(data).name}",
        DataSource=folder,
        TrainSplit=f"{folder}/{TRAIN}",
        TestSplit=f"{folder}/{TEST}",
        NumEpochs=max(1, DEFAULT_STEPS // batches),
        SamplesPerScene=SAMPLES_PER_SCENE,
        ScenesPerBatch=min(SCENES_PER_BATCH, n_shapes),
        ClampingDistance=truncation,
        CodeInitStdDev=CODE_START,
        LearningRateSchedule=[{"Type": "Cosine", "Initial": rate, "Final": FINAL * rate} for rate in RATES],
        SphereStart=True,
        UnclampWrongSign=True,
        Seed=seed,
        SnapshotFrequency=10**9,
        AdditionalSnapshots=[],
    )
    return specs_of(content)
