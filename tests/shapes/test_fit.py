"""Fits: derivatives are right, the published fit is reached, a moved shape is found, a view is completed."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.fields.latent_sdf import LatentSdf
from neus.geometry.poses import rotation_from_vector, vector_from_rotation
from neus.shapes.depth_views import DepthView, depth_observations, estimated_normals, read_depth_view, with_noise
from neus.shapes.exact_views import camera_around, exact_view, is_visible
from neus.shapes.fit import fit_adam, fit_posed, fit_shape
from neus.shapes.inputs import read_fit_input
from neus.shapes.levenberg import State, _linearized, whitened
from neus.shapes.losses import sample_losses
from neus.shapes.measures import truth_mesh
from neus.shapes.observations import Observations, of_bare_points, of_samples
from neus.shapes.placement import PlacedField, Placement, cube_rotations
from neus.shapes.prior import Prior, load_prior
from neus.shapes.samples import ShapeSamples, read_samples
from neus.shapes.truth import data_of, split_of, truth_of

ORACLE = Path(__file__).parents[3] / "shared" / "oracle" / "deepsdf"


@pytest.fixture(scope="module")
def prior(bottle_run) -> Prior:
    return load_prior(bottle_run)


@pytest.fixture(scope="module")
def held_out(prior):
    data = data_of(prior)
    return truth_of(data, split_of(prior, "test")[0])


def test_levenberg_marquardt_reaches_the_published_fit():
    if not ORACLE.is_dir():
        pytest.skip("no folder `shared/oracle/deepsdf` with published numbers beside the checkout")
    prior = load_prior(ORACLE / "experiment")
    samples = read_samples(ORACLE / "data" / "SdfSamples" / "made" / "stools" / "stool_04.npz")
    fit = fit_shape(prior, of_samples(samples), points=10_000)
    rows = samples.all
    loss = float(sample_losses(prior.decoder(fit.code, rows[:, :3]), rows[:, 3], 0.1).mean())
    assert loss <= 1.01 * float(np.load(ORACLE / "decoder.npz")["fit_whole_loss"].min())


def test_derivatives_in_code_and_pose_are_those_of_differences(prior):
    smooth = LatentSdf(prior.specs.network.__class__(**{**prior.specs.network.__dict__, "softplus_beta": 20.0})).double()
    smooth.load_state_dict(prior.decoder.state_dict())
    exact = Prior(prior.specs, smooth, prior.codes.double(), prior.names, prior.folder)
    exact.__dict__["spread"] = prior.spread.double()
    rotation = rotation_from_vector(torch.tensor([0.3, -0.5, 0.2], dtype=torch.float64))
    placement = Placement(rotation, torch.tensor([0.1, 0.2, -0.1], dtype=torch.float64), 1.3)
    state = State(0.3 * torch.randn(4, dtype=torch.float64), placement)
    points = torch.rand(20, 3, dtype=torch.float64) - 0.5

    def value(step):
        turned = rotation_from_vector(step[4:7]) @ placement.rotation
        moved = Placement(turned, placement.translation + step[7:10], placement.scale * float(step[10].exp()))
        return moved.scale * smooth(State(state.w + step[:4], moved).code(exact), moved.to_prior(points)).detach()

    _, jacobian = _linearized(exact, points, state, True)
    steps = 1e-6 * torch.eye(11, dtype=torch.float64)
    differences = torch.stack([(value(step) - value(-step)) / 2e-6 for step in steps], dim=1)
    torch.testing.assert_close(jacobian, differences, rtol=1e-6, atol=1e-8)


def test_a_code_is_found_again_from_its_own_values(prior):
    points = 1.6 * torch.rand(3000, 3) - 0.8
    code = prior.codes[2]
    seen = Observations(points, prior.decoder(code, points), torch.zeros(0, 3))
    found = fit_shape(prior, seen, weight=0.0, restarts=False)
    assert found.difference < 1e-4
    assert whitened(prior, found.code) == pytest.approx(whitened(prior, code), abs=0.05)


@pytest.mark.slow
def test_second_order_is_no_worse_than_adam_and_faster(prior, held_out):
    seen = of_samples(held_out.samples, 2000)
    by_lm, by_adam = fit_shape(prior, seen), fit_adam(prior, seen, steps=300, points=2000)
    assert by_lm.difference < 1.05 * by_adam.difference and by_lm.seconds < by_adam.seconds


def test_a_shape_that_is_turned_moved_and_scaled_is_found(prior):
    points = 1.6 * torch.rand(3000, 3) - 0.8
    seen = Observations(points, prior.decoder(prior.codes[1], points), torch.zeros(0, 3))
    seen = Observations(points[seen.distances.abs() < 0.1], seen.distances[seen.distances.abs() < 0.1], seen.free)
    rotation = rotation_from_vector(math.radians(20.0) * torch.tensor([0.6, 0.8, 0.0]))
    shift, scale = torch.tensor([0.06, -0.08, 0.0]), 1.2
    fit = fit_posed(prior, seen.moved(rotation, shift, scale))
    # A bottle has an axis: only its direction can be found.
    axes = fit.placement.rotation[:, 2], rotation[:, 2]
    assert math.degrees(math.acos(min(1.0, float(axes[0] @ axes[1])))) < 2.0
    assert float((fit.placement.translation - shift).norm()) < 0.02 and fit.placement.scale == pytest.approx(scale, rel=0.02)


def test_the_field_of_a_placed_shape_is_the_moved_field(prior):
    rotation = rotation_from_vector(torch.tensor([0.3, 0.1, -0.4]))
    placement = Placement(rotation, torch.tensor([0.1, 0.0, 0.2]), 1.5)
    field = prior.field(prior.codes[0])
    placed = PlacedField(field, placement)
    points = torch.rand(50, 3) - 0.5
    moved = 1.5 * points @ rotation.T + placement.translation
    torch.testing.assert_close(placed.sdf(moved), 1.5 * field.sdf(points), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(placed.evaluate(moved).gradients, field.evaluate(points).gradients @ rotation.T, rtol=1e-3, atol=1e-3)
    turned = placement.turned(torch.tensor([0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0]))
    assert float(vector_from_rotation(turned.rotation @ rotation.T)[2]) == pytest.approx(0.1, abs=1e-5)


def test_the_turns_of_a_cube_are_24_different_rotations():
    turns = torch.stack(cube_rotations())
    assert len({tuple(turn.flatten().tolist()) for turn in turns}) == 24
    assert torch.allclose(torch.linalg.det(turns), torch.ones(24))


def test_a_prior_without_codes_cannot_be_fitted(prior, held_out):
    one_shape = Prior(prior.specs, prior.decoder, torch.zeros(3, 0), prior.names, prior.folder)
    with pytest.raises(InputError, match="codes of length 0"):
        fit_shape(one_shape, of_samples(held_out.samples))


def test_what_is_observed_must_be_there_and_finite(prior):
    nothing = Observations(torch.zeros(0, 3), torch.zeros(0), torch.zeros(0, 3))
    with pytest.raises(InputError, match="nothing was observed"):
        fit_shape(prior, nothing)
    with pytest.raises(InputError, match="NaN or infinite"):
        fit_shape(prior, Observations(torch.zeros(1, 3), torch.tensor([math.nan]), torch.zeros(0, 3)))
    with pytest.raises(InputError, match=r"none inside \(neg\)"):
        of_samples(ShapeSamples(torch.ones(3, 4), torch.zeros(0, 4)))


def test_depth_points_lie_on_the_surface_and_free_points_are_free(held_out):
    view = exact_view(held_out, camera_around(0.7, size=40))
    assert 0.05 < view.seen.mean() < 0.9
    assert np.abs(held_out.sdf(view.points()[view.seen])).max() < 1e-4
    seen = depth_observations(view)
    assert len(seen.free) > 500 and held_out.sdf(seen.free.double().numpy()).min() > -1e-4
    # +-eta beside the surface the distance is +-eta, but for edges.
    error = np.abs(held_out.sdf(seen.points.double().numpy()) - seen.distances.numpy())
    assert np.median(error) < 1e-3


@pytest.mark.slow
def test_estimated_normals_are_those_of_the_surface(held_out):
    view = exact_view(held_out, camera_around(0.7, size=48), with_normals=True)
    for noise, degrees in ((0.0, 3.0), (0.01, 20.0)):
        noisy = with_noise(view, noise, 0) if noise else view
        found = estimated_normals(noisy, noisy.points(), noise)
        cosines = (found * view.normals).sum(axis=-1)[view.seen]
        assert np.degrees(np.arccos(np.clip(np.nanmedian(cosines), -1, 1))) < degrees


def test_a_view_is_completed_better_than_by_the_mean_shape(prior, held_out):
    camera = camera_around(0.7)
    seen = depth_observations(exact_view(held_out, camera))
    fit = fit_shape(prior, seen)
    surface = held_out.surface(1000, 0)
    hidden = torch.from_numpy(surface[~is_visible(held_out, surface, camera)]).float()
    errors = [float(prior.field(code).sdf(hidden).abs().mean()) for code in (fit.code, prior.mean_code)]
    assert len(hidden) > 200 and errors[0] < 0.5 * errors[1]


def test_bare_points_have_free_space_outside_of_their_hull():
    points = torch.nn.functional.normalize(torch.randn(2000, 3), dim=-1).numpy() * 0.5
    seen = of_bare_points(points)
    assert (seen.distances == 0).all() and float(seen.free.norm(dim=-1).min()) > 0.45
    with pytest.raises(InputError, match="lie in a plane"):
        of_bare_points(np.pad(points[:, :2], ((0, 0), (0, 1))))


def test_meshes_and_points_of_files_come_back_in_their_units(prior, held_out, tmp_path):
    mesh = truth_mesh(held_out, 48)
    mesh.apply_scale(7.0).apply_translation([10.0, 20.0, 30.0])
    mesh.export(tmp_path / "bottle.obj")
    given = read_fit_input(tmp_path / "bottle.obj")
    back = given.to_file.matrix().numpy()
    placed = given.mesh.copy()
    placed.apply_transform(back)
    np.testing.assert_allclose(placed.vertices, mesh.vertices, atol=1e-3)
    cloud = tmp_path / "cloud.ply"
    trimesh.PointCloud(mesh.vertices).export(cloud)
    with pytest.raises(InputError, match="give --normalize if they show the whole shape, or --pose"):
        read_fit_input(cloud)
    assert float(read_fit_input(cloud, normalize=True).seen.points.norm(dim=-1).max()) < 1.0


def test_depth_files_are_read_and_bad_ones_are_one_line(held_out, tmp_path):
    camera = camera_around(0.3, size=16)
    view = exact_view(held_out, camera)
    np.save(tmp_path / "view.npy", view.depth)
    content = {"intrinsics": camera.intrinsics.tolist(), "camera_to_world": camera.camera_to_scene.tolist()}
    (tmp_path / "camera.json").write_text(json.dumps(content))
    read = read_depth_view(tmp_path / "view.npy", tmp_path / "camera.json")
    np.testing.assert_allclose(read.points()[read.seen], view.points()[view.seen], atol=1e-9)
    (tmp_path / "bad.json").write_text('{"intrinsics": [1]}')
    with pytest.raises(InputError, match="no camera"):
        read_depth_view(tmp_path / "view.npy", tmp_path / "bad.json")
    np.save(tmp_path / "empty.npy", np.zeros((16, 16)))
    with pytest.raises(InputError, match="no pixel has a depth above 0"):
        read_depth_view(tmp_path / "empty.npy", tmp_path / "camera.json")
    with pytest.raises(InputError, match="no pixel has neighbours"):
        lonely = np.zeros((16, 16))
        lonely[3, 3] = 2.0
        depth_observations(DepthView(lonely, camera))
