import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from neus.errors import InputError, InputWarning
from neus.kernels.dispatch import VARIABLE
from neus.rendering.sdf_grid import SdfGrid
from neus.runs.build import model_for_scene
from neus.scenes.readers import read_scene
from neus.stereo.exposure import ExposureFit
from neus.stereo.initial_shape import InitialShape
from neus.stereo.surface_points import SurfacePoints
from neus.training import common_exposure, initial_surface
from neus.training import guided_training as steps_module
from neus.training import trainer as trainer_module
from neus.training.checkpoint import read_checkpoint
from neus.training.config import GuidedSamplingConfig
from neus.training.finite import what_is_not_finite
from neus.training.guided_training import GridGuidedTraining
from neus.training.hierarchical_training import HierarchicalTraining
from neus.training.patches import PatchSampler
from neus.training.step import StepTerms
from neus.training.surface_teacher import SurfaceTeacher
from neus.training.trainer import Trainer
from tests.kernels.backends import HAS_GPU, NEEDS_TRITON

GUIDED = GuidedSamplingConfig(n_intervals=6, initial_shape=False)


@pytest.fixture(scope="module")
def scene(scene_folder):
    return read_scene(scene_folder)


@pytest.fixture
def guided_config(tiny_hash_config):
    color = replace(tiny_hash_config.model.rendering_network, weight_norm=False)
    return replace(
        tiny_hash_config,
        model=replace(tiny_hash_config.model, rendering_network=color),
        train=replace(tiny_hash_config.train, batch_size=64, guided_sampling=GUIDED),
    )


@pytest.fixture
def make_trainer(scene, guided_config):
    def make(guided_sampling=GUIDED, scene=scene, n_outside=0, **changes):
        model = guided_config.model
        model = replace(model, neus_renderer=replace(model.neus_renderer, n_outside=n_outside))
        config = replace(guided_config, model=model, train=replace(guided_config.train, guided_sampling=guided_sampling, **changes))
        return Trainer(model_for_scene(config, scene), scene, config.train, on_message=lambda text: None)

    return make


def states(trainer):
    return trainer.model.state_dict()


def test_intervals_choose_the_steps(make_trainer):
    assert isinstance(make_trainer().steps, GridGuidedTraining)
    assert isinstance(make_trainer(guided_sampling=GuidedSamplingConfig()).steps, HierarchicalTraining)


def test_guided_training_gives_the_same_numbers_twice(make_trainer):
    first, second = make_trainer(), make_trainer()
    first.run([])
    second.run([])
    assert all(torch.equal(a, b) for a, b in zip(states(first).values(), states(second).values(), strict=True))


def test_guided_training_moves_every_part_of_the_model(make_trainer):
    trainer = make_trainer()
    before = {name: value.clone() for name, value in states(trainer).items()}
    trainer.run([])
    for name, value in states(trainer).items():
        if not name.startswith("nerf") and not name.endswith("n_active"):
            assert not torch.equal(before[name], value), name


def test_a_resumed_guided_run_goes_on_to_the_same_numbers(make_trainer, tmp_path):
    whole, half = make_trainer(), make_trainer()
    whole.run([])
    half.run([lambda trainer, terms: trainer.iteration == 3 and trainer.stop()])
    half.save(tmp_path / "half.pth", {"config": {}, "scene": {}, "run": {}})
    resumed = make_trainer()
    resumed.load(read_checkpoint(tmp_path / "half.pth"), tmp_path / "half.pth")
    resumed.run([])
    assert all(torch.equal(a, b) for a, b in zip(states(whole).values(), states(resumed).values(), strict=True))


def test_a_sampled_run_cannot_be_resumed_as_a_guided_one(make_trainer, tmp_path):
    sampled = make_trainer(guided_sampling=GuidedSamplingConfig())
    sampled.run([])
    sampled.save(tmp_path / "sampled.pth", {"config": {}, "scene": {}, "run": {}})
    with pytest.raises(InputError, match="n_intervals"):
        make_trainer().load(read_checkpoint(tmp_path / "sampled.pth"), tmp_path / "sampled.pth")


def test_networks_are_guided_without_an_initial_shape(make_trainer, tiny_config, scene):
    config = replace(tiny_config, train=replace(tiny_config.train, end_iter=2, guided_sampling=GUIDED))
    with pytest.warns(InputWarning, match="slower, plain step: model.surface is mlp"):
        trainer = Trainer(model_for_scene(config, scene), scene, config.train, on_message=lambda text: None)
    trainer.run([])
    assert trainer.iteration == 2 and trainer.steps.sdf_grid.values.isfinite().all()


# Masks, and what is trained without them; the pull towards a shape in both. That against bending takes another direction for each ray of
# a batch, and where masks are used a GPU's batches have more rays, some of them marked to be left out.
SETTINGS = [
    {"mask_weight": 0.1},
    {"mask_weight": 0.0, "n_outside": 4, "curvature_weight": 0.02, "color_huber": 0.05},
]


def ball_points(radius):
    """Points of a ball's surface with their normals, each believed."""
    normals = torch.nn.functional.normalize(torch.randn(500, 3, generator=torch.Generator().manual_seed(2)), dim=-1).numpy()
    return SurfacePoints(radius * normals, normals, np.ones(500, np.float32))


def ball_teacher(radius):
    return SurfaceTeacher.of(ball_points(radius), 0.001)


def gradients_of_a_step(trainer, inside_fraction=1.0):
    """Terms and gradients of one step of a surface and a grid that know of a ball, taught by points beside it; and the grid."""
    axis = torch.linspace(-1.0, 1.0, 33)
    ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.5
    steps = trainer.steps
    steps.sdf_grid, steps.teacher = SdfGrid(ball.clone()), ball_teacher(0.53)
    if trainer.config.mask_weight == 0.0:
        # By default rays of the object alone: all meet the sphere, as rays chosen by their masks do.
        steps.sampler = PatchSampler(trainer.scene, patch=2, inside_fraction=inside_fraction, near_fraction=0.0)
    terms = steps(1, 0.2, 0.7)
    assert terms.points > 0.0 and (terms.curvature > 0.0) == (trainer.config.curvature_weight > 0.0)
    gradients = {name: p.grad for name, p in steps.model.named_parameters() if p.grad is not None}
    return terms.named(), gradients, steps.sdf_grid.values, ball


def assert_same_gradients(found, expected, tolerance):
    """The same terms; gradients equal to a fraction of the greatest of their kind, and in tables row by row."""
    assert found[0] == pytest.approx(expected[0], rel=tolerance, abs=1e-6)
    assert found[1].keys() == expected[1].keys() and len(expected[1]) >= 10
    for name, truth in expected[1].items():
        error, size = (found[1][name] - truth).abs(), truth.abs()
        assert error.max() <= tolerance * size.max() + 1e-9, name
        if name.endswith("grid.table"):
            touched = size.amax(dim=1) > 1e-3 * size.max()
            assert touched.sum() > 50
            assert torch.equal(found[1][name][touched] != 0, truth[touched] != 0), "the same rows"
            assert (error[touched].amax(dim=1) <= 0.02 * size[touched].amax(dim=1)).all(), "and each of them alike"


@pytest.mark.parametrize(("settings", "inside_fraction"), [(SETTINGS[0], 1.0), (SETTINGS[1], 1.0), (SETTINGS[1], 0.0)])
def test_the_plain_step_is_taken_with_a_warning_where_kernels_are_off(make_trainer, monkeypatch, settings, inside_fraction):
    # The plain step evaluates the background of every ray.
    monkeypatch.setattr("neus.training.guided_training.EXPLORED_FRACTION", 1.0)
    fused = make_trainer(**settings)
    assert fused.steps.is_fused
    # Without masks rays of whole images are drawn, and some of them miss the sphere.
    expected = gradients_of_a_step(fused, inside_fraction)
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    with pytest.warns(InputWarning, match="slower, plain step"):
        plain = make_trainer(**settings)
    assert not plain.steps.is_fused
    assert_same_gradients(gradients_of_a_step(plain, inside_fraction), expected, 1e-3)


def test_the_fused_step_of_a_cpu_knows_one_precision(make_trainer):
    with pytest.raises(InputError, match="the fused step of a CPU computes in float32 alone"):
        make_trainer(precision="bfloat16")


@pytest.mark.parametrize("where", ["sdf_network.hidden.bias", "sdf_network.grid.table", "color_network.lin0.bias"])
def test_recovery_leaves_no_nan_in_the_cache_or_the_checkpoint(make_trainer, monkeypatch, tmp_path, where):
    monkeypatch.setattr(trainer_module, "ITERATIONS_BETWEEN_SNAPSHOTS", 2)
    # Every iteration refreshes, so that the spoilt surface is evaluated for the cache too.
    monkeypatch.setattr(steps_module, "ITERATIONS_BETWEEN_REFRESHES", 1)
    trainer, going_back = make_trainer(end_iter=8), []
    steps, in_the_snapshot = trainer.steps, {}

    def poison(t, terms):
        if t.iteration == 4:
            in_the_snapshot.update(sdf_grid=steps.sdf_grid.values.clone(), slab=steps.sdf_grid.slab)
        if t.iteration == 5 and not t.rollbacks:
            t.model.get_parameter(where).data.fill_(torch.nan)

    def restored(message):
        going_back.append((steps.sdf_grid.values.clone(), steps.sdf_grid.slab))

    trainer.begin()
    trainer.on_message = restored
    trainer.run([poison])
    ((values, slab),) = going_back
    assert trainer.rollbacks == 1 and trainer.iteration == 8
    assert torch.equal(values, in_the_snapshot["sdf_grid"]) and slab == in_the_snapshot["slab"]
    assert steps.sdf_grid.values.isfinite().all() and all(p.isfinite().all() for p in trainer.model.parameters())
    trainer.save(tmp_path / "recovered.pth", {})
    assert read_checkpoint(tmp_path / "recovered.pth")["neus"]["training"]["sdf_grid"].isfinite().all()


def test_the_plain_step_of_no_ray_with_something_to_teach_is_zero(make_trainer, monkeypatch):
    monkeypatch.setenv("NEUS_KERNELS", "reference")
    with pytest.warns(InputWarning, match="slower, plain step"):
        trainer = make_trainer(end_iter=1)
    trainer.steps.sdf_grid, trainer._has_begun = SdfGrid(torch.full((9, 9, 9), 0.1)), True
    monkeypatch.setattr(
        steps_module, "is_informative", lambda batch, *rest: torch.zeros(len(batch.origins), dtype=torch.bool)
    )
    totals = []
    trainer.run([lambda t, terms: totals.append(float(terms.total.detach()))])
    assert totals == [0.0] and trainer.rollbacks == 0


def test_a_spoilt_term_of_the_surface_is_named(make_trainer):
    trainer = make_trainer()
    zero, nan = torch.zeros(()), torch.tensor(torch.nan)
    names = ("total", "color", "eikonal", "mask", "psnr", "weight_max", "points", "curvature")
    terms = StepTerms(**{name: nan if name in ("total", "points", "curvature") else zero for name in names})
    assert what_is_not_finite(terms, trainer.model) == "the points and curvature loss"


def test_batches_grow_when_it_is_time(make_trainer):
    trainer = make_trainer(guided_sampling=replace(GUIDED, batch_growth=3, batch_growth_at=0.5), end_iter=6)
    trainer.run([])
    assert trainer.steps.n_rays == 64 * (3 + 3 * 3)


def test_the_surface_starts_as_the_initial_shape_sharp_and_is_taught_its_points_for_a_while(make_trainer, monkeypatch):
    axis = torch.linspace(-1.0, 1.0, 96)
    ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.3
    shape = InitialShape(ball, torch.ones_like(ball, dtype=torch.bool), ball_points(0.3), 0.002)
    monkeypatch.setattr(initial_surface, "initial_shape", lambda scene, on_message, seconds: shape)
    trainer = make_trainer(guided_sampling=replace(GUIDED, initial_shape=True, prior_until=0.5), end_iter=4)
    trainer.begin()
    points = torch.tensor([[0.0, 0.0, 0.3], [0.3, 0.0, 0.0], [0.6, 0.0, 0.0]])
    assert torch.allclose(trainer.model.sdf(points), torch.tensor([0.0, 0.0, 0.3]), atol=0.05)
    assert float(trainer.model.sharpness()) == pytest.approx(math.pi / math.sqrt(3.0) / (4.0 * 0.002), rel=1e-4)
    pulls = []
    trainer.run([lambda t, terms: pulls.append(float(terms.points))])
    assert pulls[0] > 0.0 and pulls[1] > 0.0 and pulls[2:] == [0.0, 0.0]


@pytest.fixture
def exposures_found(monkeypatch):
    """Training starts from a ball, and views are found to have these levels of exposure (V,)."""
    axis = torch.linspace(-1.0, 1.0, 33)
    ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.3
    shape = InitialShape(ball, torch.ones_like(ball, dtype=torch.bool), ball_points(0.3), 0.002)
    monkeypatch.setattr(initial_surface, "initial_shape", lambda scene, on_message, seconds: shape)
    monkeypatch.setattr(initial_surface, "fit_distances", lambda model, distances, generator: 0.0)

    def say(levels):
        levels = np.repeat(np.array(levels)[:, None], 3, axis=1)
        fit = ExposureFit(levels, np.zeros_like(levels), levels, np.full_like(levels, 0.004))
        monkeypatch.setattr(common_exposure, "exposures_of", lambda scene, distances, points: fit)

    return say


SHAPED = replace(GUIDED, initial_shape=True)


@pytest.mark.parametrize(
    ("kind", "levels", "is_leveled"),
    [
        ("auto", [0.8, 1.0, 1.0, 1.25], True),
        ("auto", [0.99, 1.0, 1.0, 1.01], False),  # too little
        ("affine", [0.99, 1.0, 1.0, 1.01], True),
        ("none", [0.8, 1.0, 1.0, 1.25], False),
    ],
)
def test_exposure_is_leveled_where_it_differs(make_trainer, exposures_found, kind, levels, is_leveled):
    exposures_found(levels)
    trainer, lines = make_trainer(guided_sampling=SHAPED, exposure=kind, end_iter=1), []
    plain = trainer.steps.sampler.draw(64, torch.Generator().manual_seed(5)).colors
    trainer.on_message = lines.append
    trainer.begin()
    assert torch.equal(plain, trainer.steps.sampler.draw(64, torch.Generator().manual_seed(5)).colors) != is_leveled
    assert any("leveled to the mean" in line for line in lines) == is_leveled
    assert (trainer.steps.state()["exposure"] is not None) == is_leveled


def test_a_resumed_run_keeps_its_exposures(make_trainer, exposures_found, tmp_path):
    exposures_found([0.8, 1.0, 1.0, 1.25])
    whole, half = (make_trainer(guided_sampling=SHAPED, exposure="auto") for _ in range(2))
    whole.run([])
    half.run([lambda trainer, terms: trainer.iteration == 3 and trainer.stop()])
    half.save(tmp_path / "half.pth", {"config": {}, "scene": {}, "run": {}})
    exposures_found([1.0, 1.0, 1.0, 1.0])
    resumed = make_trainer(guided_sampling=SHAPED, exposure="auto")
    resumed.load(read_checkpoint(tmp_path / "half.pth"), tmp_path / "half.pth")
    resumed.run([])
    assert all(torch.equal(a, b) for a, b in zip(states(whole).values(), states(resumed).values(), strict=True))


def test_surface_points_pull_a_displaced_surface_onto_them(make_trainer):
    trainer = make_trainer()
    model, teacher = trainer.model, ball_teacher(0.5)
    optimizer, generator = torch.optim.Adam(model.sdf_network.parameters(), lr=1e-3), torch.Generator().manual_seed(0)
    errors = []
    for _ in range(60):
        optimizer.zero_grad()
        teacher.add_gradients(model, 50.0, generator)
        optimizer.step()
        errors.append(float(model.sdf(teacher.points).detach().abs().mean()))
    assert errors[-1] < 0.1 * errors[0]


def test_training_without_masks_looks_at_none(make_trainer, scene):
    blind, sighted = (make_trainer(scene=s, mask_weight=0.0) for s in (replace(scene, masks=None), scene))
    for trainer in (blind, sighted):
        trainer.run([])
    assert all(torch.equal(a, b) for a, b in zip(states(blind).values(), states(sighted).values(), strict=True))


@NEEDS_TRITON
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_guided_step_of_triton_has_the_gradients_of_the_cpus(make_trainer, monkeypatch, settings):
    # A GPU evaluates the background of every ray.
    monkeypatch.setattr("neus.training.guided_training.EXPLORED_FRACTION", 1.0)
    if HAS_GPU:
        pytest.skip("Triton is interpreted only where there is no GPU")
    found = []
    for name in ("cpu", "gpu"):
        monkeypatch.setenv(VARIABLE, name)
        found.append(gradients_of_a_step(make_trainer(**settings)))
    assert_same_gradients(*found, 1e-3)
    (_, _, one, ball), (_, _, other, _) = found
    # Where a sample lies between two vertices, rounding says which of them it is noted at.
    assert ((one - other).abs() > 1e-4).sum() <= 0.01 * (one != ball).sum()


def distance_to_center(batch):
    """(N,) from the scene's centre to the nearest place of rays before their cameras."""
    along = -(batch.origins * batch.directions).sum(-1, keepdim=True)
    return (batch.origins + along.clamp_min(0.0) * batch.directions).norm(dim=-1)


def ball_grid(radius):
    axis = torch.linspace(-1.0, 1.0, 33)
    return SdfGrid(torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - radius)


def test_the_background_behind_an_opaque_ball_is_left_out_of_nine_rays_in_ten(make_trainer, monkeypatch):
    trainer, seen = make_trainer(mask_weight=0.0, n_outside=4, batch_size=4000), []
    step = steps_module.fused_training_step

    def spy(model, batch, weights, cos_anneal, edges, generator, precision, is_hidden):
        seen.append((batch, is_hidden))
        return step(model, batch, weights, cos_anneal, edges, generator, precision, is_hidden)

    monkeypatch.setattr(steps_module, "fused_training_step", spy)
    steps = trainer.steps
    steps.sdf_grid = ball_grid(0.8)
    steps.sampler = PatchSampler(trainer.scene, patch=2, inside_fraction=0.0, near_fraction=0.0)
    steps(1, 0.2, 0.7)
    ((batch, is_hidden),) = seen
    # Opaque to 0.995: the distance falls to -5.3 / s, which a ray does that passes the centre within 0.8 - 5.3 / s.
    depth, cell = 0.8 - distance_to_center(batch), 2.0 / 32
    within = depth - 5.3 / float(trainer.model.sharpness().detach())
    is_opaque, is_clear = within > cell, within < -cell
    assert is_opaque.sum() > 300 and is_clear.sum() > 300
    assert not is_hidden[is_clear].any()
    assert 0.84 < float(is_hidden[is_opaque].float().mean()) < 0.95


def test_rays_that_miss_the_sphere_teach_nothing_where_masks_are_used(make_trainer):
    """The cameras of the scene see beyond the unit sphere; a mask that reaches there too is wrong there."""
    steps = make_trainer().steps
    sampler = PatchSampler(steps.scene, patch=2, inside_fraction=0.0, near_fraction=0.0)
    batch = sampler.draw(2000, torch.Generator().manual_seed(1))
    batch = replace(batch, masks=torch.ones_like(batch.masks))
    edges, min_sdf = ball_grid(0.5).intervals(batch.origins, batch.directions, 6, torch.tensor(20.0), 0.5, steps.generator)
    meets, kept = distance_to_center(batch) < 1.0, steps_module.is_informative(batch, edges, min_sdf)
    assert 50 < (~meets).sum() < 1950 and torch.equal(kept, meets)
    # Outside of the masks those near the surface count: none that misses the ball by much.
    kept = steps_module.is_informative(replace(batch, masks=torch.zeros_like(batch.masks)), edges, min_sdf)
    assert kept[distance_to_center(batch) < 0.45].all() and not kept[~meets].any() and (meets & ~kept).any()
