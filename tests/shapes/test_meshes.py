"""Folders of meshes: signs of whole, broken and double-sided ones, what is left out, and data that go back to their units."""

import numpy as np
import pytest
import trimesh

from neus.errors import InputError
from neus.shapes.data_folder import shape_facts, write_family_data, write_mesh_data
from neus.shapes.mesh_signs import SignedMesh
from neus.shapes.mesh_sources import SourceMesh, mesh_findings, source_meshes
from neus.shapes.samples import read_samples
from neus.shapes.splits import read_split, sample_path
from neus.shapes.truth import truth_of


@pytest.fixture(autouse=True)
def coarse_flood(monkeypatch):
    """A lattice of a few seconds less."""
    monkeypatch.setattr("neus.shapes.mesh_signs.LATTICE", 96)


def holed_ball() -> trimesh.Trimesh:
    """A ball of radius 0.8 from which a hundredth of the faces is missing."""
    ball = trimesh.creation.icosphere(4, radius=0.8)
    return trimesh.Trimesh(ball.vertices, ball.faces[ball.triangles_center[:, 2] < 0.79], process=False)


def double_sided_ball() -> trimesh.Trimesh:
    """A ball whose every face is there twice, turned both ways, as modellers export them."""
    ball = trimesh.creation.icosphere(3, radius=0.8)
    return trimesh.Trimesh(ball.vertices, np.concatenate([ball.faces, ball.faces[:, ::-1]]), process=False)


def points_of(n: int = 400) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.95, 0.95, (n, 3))


def test_winding_numbers_bear_small_holes():
    points = points_of()
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 0.8) > 0.1
    assert np.array_equal((SignedMesh(holed_ball()).sdf(points) < 0)[clear], (radius < 0.8)[clear])


def test_double_sided_meshes_have_an_inside_by_what_is_visible_alone():
    points, mesh = points_of(), double_sided_ball()
    radius = np.linalg.norm(points, axis=1)
    clear = np.abs(radius - 0.8) > 0.03
    assert np.array_equal((SignedMesh(mesh, "visible").sdf(points) < 0)[clear], (radius < 0.8)[clear])
    assert not (SignedMesh(mesh, "winding").sdf(points) < 0).any()


def test_near_a_surface_the_visible_side_is_the_right_one():
    ball = trimesh.creation.icosphere(4, radius=0.8)
    directions = points_of()
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    signed = SignedMesh(ball, "visible")
    assert (signed.sdf(0.79 * directions) < 0).all() and (signed.sdf(0.805 * directions) > 0).all()


def test_both_rules_agree_on_a_closed_mesh_and_differ_on_a_double_sided_one():
    closed, doubled = (
        mesh_findings(SourceMesh("a/b", mesh, None)) for mesh in (trimesh.creation.icosphere(3), double_sided_ball())
    )
    assert closed.watertight and closed.disagreement < 0.02 and closed.reason == ""
    assert doubled.disagreement > 0.1 and "by what is visible differ" in doubled.reason


def test_normalised_meshes_fill_the_ball_and_go_back():
    mesh = trimesh.creation.box((2.0, 4.0, 4.0)).apply_translation([5.0, 6.0, 7.0])
    source = SourceMesh("a/b", mesh, None)
    offset, scale = source.normalization
    assert np.linalg.norm(source.normalized().mesh.vertices, axis=1).max() == pytest.approx(1 / 1.03)
    np.testing.assert_allclose(source.normalized().mesh.vertices / scale - offset, mesh.vertices)


@pytest.fixture(scope="module")
def mesh_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("meshes") / "things"
    (folder / "boxes").mkdir(parents=True)
    for i, side in enumerate((1.0, 1.5)):
        trimesh.creation.box((side, 1.0, 2.0)).export(folder / "boxes" / f"box {i}.obj")
    trimesh.creation.icosphere(3).export(folder / "ball.off")
    double_sided_ball().export(folder / "doubled.ply")
    return folder


def test_a_folder_of_meshes_becomes_data_and_what_is_left_out_is_said(mesh_folder, tmp_path):
    result = write_mesh_data(tmp_path / "data", mesh_folder, "winding", 1, 1000)
    names = sorted(result.train + result.test)
    assert names == ["things/boxes/box_0", "things/boxes/box_1", "things/things/ball"] and len(result.test) == 1
    assert any("doubled" in note and "left out" in note for note in result.notes)
    samples = read_samples(sample_path(tmp_path / "data", "things/things/ball"))
    exact = np.linalg.norm(samples.all[:, :3].numpy(), axis=1) - 1 / 1.03
    assert np.abs(exact - samples.all[:, 3].numpy()).max() < 0.01
    truth = truth_of(tmp_path / "data", "things/boxes/box_1")
    assert np.abs(truth.sdf(truth.surface(200, 0))).max() < 1e-6
    assert set(shape_facts(tmp_path / "data")) == set(names)
    with np.load(tmp_path / "data" / "NormalizationParameters" / "things/boxes/box_1.npz") as kept:
        surface = trimesh.load(tmp_path / "data" / "SurfaceSamples" / "things/boxes/box_1.ply").vertices
        moved = (surface + kept["offset"]) * kept["scale"]
    assert np.abs(truth.sdf(np.asarray(moved))).max() < 1e-4


def test_a_stack_of_meshes_of_one_topology_is_many(tmp_path):
    ball = trimesh.creation.icosphere(2)
    np.savez(tmp_path / "bodies.npz", vertices=np.stack([ball.vertices, 2 * ball.vertices]), faces=ball.faces)
    assert [source.name.split("/")[1] for source in source_meshes(tmp_path)] == ["bodies_0000", "bodies_0001"]


def test_folders_without_use_are_one_line(tmp_path, mesh_folder):
    with pytest.raises(InputError, match="no meshes in it"):
        list(source_meshes(tmp_path))
    with pytest.raises(InputError, match="expected some left to train on"):
        write_mesh_data(tmp_path / "data", mesh_folder, "winding", 4, 1000)
    with pytest.raises(InputError, match="--sign up"):
        write_mesh_data(tmp_path / "data", mesh_folder, "up", 0, 1000)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="already and not empty|is there already"):
        write_family_data(tmp_path, ["mug"], 1, 0, 1000)
    assert not (tmp_path / "data").exists()


def test_family_data_are_the_same_for_a_seed_and_have_the_published_densities(tmp_path):
    for name in ("a", "b"):
        write_family_data(tmp_path / name, ["mug", "chair"], 2, 1, 2000, seed=5)
    names = read_split(tmp_path / "a" / "train.json")
    assert names == ["families/mug/mug_0000", "families/chair/chair_0000"]
    assert read_split(tmp_path / "a" / "test.json") == ["families/mug/mug_0001"]
    one, other = (read_samples(sample_path(tmp_path / name, names[0])) for name in ("a", "b"))
    assert (one.all == other.all).all()
    truth = truth_of(tmp_path / "a", names[1])
    rows = truth.samples.all.double().numpy()
    assert np.abs(truth.sdf(rows[:, :3]) - rows[:, 3]).max() < 1e-5
    assert len(truth.samples.negative) >= 0.24 * 2000 and (np.abs(rows[:, 3]) < 0.1).mean() > 0.6
