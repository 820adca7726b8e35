"""A tiny family, and a prior trained on it for a few seconds, shared by the tests of shapes."""

from pathlib import Path

import pytest

from neus.shapes.data_folder import write_family_data
from neus.shapes.defaults import family_specs, network_of
from neus.shapes.train import train_prior

BOTTLES, HELD_OUT = 8, 2


@pytest.fixture(scope="session")
def bottles(tmp_path_factory) -> Path:
    """A data folder of bottles."""
    folder = tmp_path_factory.mktemp("shapes") / "bottles"
    write_family_data(folder, ["bottle"], BOTTLES, HELD_OUT, 3000)
    return folder


@pytest.fixture(scope="session")
def small_specs(bottles):
    """Specs of a network of 3 x 32 with codes of 4, for a run beside the data."""

    def make(run: Path, epochs: int = 300):
        specs = family_specs(bottles, run, network_of(32, 3, 4), n_shapes=BOTTLES)
        return specs.with_keys(NumEpochs=epochs, SamplesPerScene=96, Seed=3)

    return make


@pytest.fixture(scope="session")
def bottle_run(bottles, small_specs) -> Path:
    """A run of a few seconds on the bottles."""
    run = bottles.parent / "run"
    train_prior(small_specs(run), run)
    return run
