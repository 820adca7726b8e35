from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.meshing.of_model import surface_mesh
from neus.rendering.sdf_grid import SdfGrid
from neus.runs.build import model_for_scene
from neus.runs.config import ExperimentConfig
from neus.stereo.surface_refinement import Round
from neus.training import final_sweep
from neus.training.checkpoint import load_parameters, read_checkpoint
from neus.training.config import GuidedSamplingConfig
from neus.training.final_sweep import FinalSweep, judged_correction, lattice_of
from neus.training.trainer import Trainer
from tests.stereo.painted_sphere import RADIUS, sphere_distances, sphere_scene

OFF = 0.01
GUIDED = GuidedSamplingConfig(n_intervals=6, initial_shape=False)


@pytest.fixture(scope="module")
def arc():
    """Two rows of views; some of them are held back."""
    return sphere_scene(range(-48, 49, 12), (-10.0, 10.0))


@pytest.fixture
def trainer(tiny_hash_config, arc):
    """Of one iteration, as if it had started from stereo."""
    color = replace(tiny_hash_config.model.rendering_network, weight_norm=False)
    short = replace(tiny_hash_config.train, guided_sampling=GUIDED, end_iter=1, batch_size=32, mask_weight=0.0)
    config = replace(tiny_hash_config, model=replace(tiny_hash_config.model, rendering_network=color), train=short)
    trainer = Trainer(model_for_scene(config, arc), arc, config.train, on_message=lambda text: None)
    trainer.steps.round_seconds = 4.0
    trainer.steps.sdf_grid = SdfGrid.of(lambda points: points.norm(dim=-1) - RADIUS, 32)
    return trainer


def test_a_surface_that_is_off_is_corrected(arc):
    offsets, (before, after) = judged_correction(arc, sphere_distances(128, RADIUS + OFF))
    assert offsets is not None and after < 0.5 * before


def test_a_correction_that_agrees_no_better_is_left_out(arc, monkeypatch):
    shift = np.full((96, 96, 96), np.float32(OFF))
    monkeypatch.setattr(final_sweep, "surface_correction", lambda scene, distances: shift)
    offsets, (before, after) = judged_correction(arc, sphere_distances(96))
    assert offsets is None and after > before


def test_views_that_judge_are_not_swept(arc, monkeypatch):
    swept, judged = [], []
    monkeypatch.setattr(final_sweep, "surface_correction", lambda scene, distances: swept.extend(scene.names) or distances)

    def noted(surfaces, scene, held_back):
        judged.extend(scene.names[view] for view in held_back)

    monkeypatch.setattr(final_sweep, "paired_offsets", noted)
    assert judged_correction(arc, sphere_distances(48)) == (None, None)  # nothing could be matched
    assert judged and not set(swept) & set(judged) and set(swept) | set(judged) == set(arc.names)


def test_the_last_iteration_sweeps_and_the_checkpoint_keeps_what_was_found(trainer, monkeypatch, tmp_path):
    offsets = np.full((24, 24, 24), np.float32(OFF))
    monkeypatch.setattr(final_sweep, "FINEST", Round(96, 4, 0.5, 5, 24))
    monkeypatch.setattr(final_sweep, "judged_correction", lambda scene, distances: (offsets, [0.5, 0.25]))
    lines = []
    trainer.on_message = lines.append
    trainer.run([FinalSweep()])
    assert any("the mesh follows it" in line and "0.500 px off without and 0.250 with it" in line for line in lines)
    trainer.save(tmp_path / "swept.pth", {})
    corrected = surface_mesh(trainer.model, 48)
    config = replace(ExperimentConfig(), model=trainer.model.config, train=trainer.config)
    loaded = model_for_scene(config, trainer.scene)
    load_parameters(loaded, read_checkpoint(tmp_path / "swept.pth"), tmp_path / "swept.pth")
    assert np.allclose(surface_mesh(loaded, 48).vertices, corrected.vertices, atol=1e-4)
    trainer.model.correction = None
    plain = surface_mesh(trainer.model, 48)
    # Distances that are larger: the surface shrinks by as much.
    shrunk = np.linalg.norm(plain.vertices, axis=1).mean() - np.linalg.norm(corrected.vertices, axis=1).mean()
    assert 0.7 * OFF < shrunk < 1.3 * OFF


@pytest.mark.parametrize("why_not", ["unwanted", "off", "no stereo", "few views"])
def test_no_sweep(trainer, monkeypatch, why_not, arc):
    monkeypatch.setattr(final_sweep, "judged_correction", lambda scene, distances: pytest.fail("swept"))
    sweep = FinalSweep()
    if why_not == "unwanted":
        sweep.is_wanted = False
    elif why_not == "off":
        trainer.config = replace(trainer.config, guided_sampling=replace(GUIDED, final_sweep=False))
    elif why_not == "no stereo":
        trainer.steps.round_seconds = None
    else:
        trainer.scene = arc.subset(list(range(5)))
    trainer.run([sweep])
    assert trainer.model.correction is None and (sweep.expected_seconds(trainer) == 0.0) == (why_not != "unwanted")


def test_the_lattice_has_the_model_s_own_distances_near_the_surface(trainer):
    values = torch.from_numpy(lattice_of(trainer, 40))
    places = (values.abs() < 0.02).nonzero()
    points = places * (2.0 / 39) - 1.0
    assert len(places) and torch.allclose(values[tuple(places.T)], trainer.model.sdf(points.float()).detach(), atol=1e-4)
