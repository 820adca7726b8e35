import json
from dataclasses import replace

import numpy as np
import pytest
import trimesh
from scipy.io import loadmat, savemat
from scipy.spatial import cKDTree

from neus.errors import InputError
from neus.evaluation.dtu import (
    DtuProtocol,
    dtu_scores,
    is_observed,
    point_scores,
    read_dtu,
    scan_of_name,
    thinned_points,
)
from tests.evaluation.dtu_layout import DOTS, SCAN, dots, half_observed, write_dtu


@pytest.fixture
def truth(tmp_path):
    return read_dtu(write_dtu(tmp_path, 7, SCAN, half_observed()), 7)


def numbers(truth, **protocol):
    found = dtu_scores(dots(DOTS), truth, DtuProtocol(**protocol))
    return found["accuracy"], found["completeness"], found["overall"]


def test_the_numbers_are_those_found_by_hand(truth):
    # Observed dots: 1 and 7 away. Points above ground: 1, 2 (the dot that is not observed is still a neighbour), 36.5 (capped).
    assert numbers(truth) == pytest.approx((4.0, 1.5, 2.75))
    found = dtu_scores(dots(DOTS), truth)
    assert found["fraction_of_mesh_beyond_cap"] == 0.0 and found["fraction_of_truth_beyond_cap"] == pytest.approx(1 / 3)
    assert (found["n_mesh_points"], found["n_mesh_points_observed"]) == (3, 2)
    assert (found["n_truth_points"], found["n_truth_points_above_plane"]) == (4, 3)
    assert found["protocol"] == {"density": 0.2, "cap": 20.0, "margin": 60.0, "seed": 0} and found["unit"] == "mm"
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_without_the_observation_mask_the_dot_outside_counts(truth):
    assert numbers(replace(truth, observed=np.ones((11, 11, 11), bool))) == pytest.approx((10 / 3, 1.5, 29 / 12))


def test_with_a_lower_plane_the_point_below_ground_counts(truth):
    assert numbers(replace(truth, plane=np.array([0.0, 0.0, 1.0, 5.0]))) == pytest.approx((4.0, 7 / 3, 19 / 6))


def test_the_cap_leaves_distances_out_of_either_mean(truth):
    far = np.hypot(36.0, 6.0)  # from the third point to the second dot
    assert numbers(truth, cap=40.0) == pytest.approx((4.0, (3 + far) / 3, (15 + far) / 6))
    assert numbers(truth, cap=5.0) == pytest.approx((1.0, 1.5, 1.25))


def test_points_below_ground_are_still_what_the_mesh_is_measured_to(truth):
    low = dots([[2.0, 2.0, -0.4], *DOTS])
    assert dtu_scores(low, truth)["accuracy"] == pytest.approx((0.6 + 1.0 + 7.0) / 3)


def test_mesh_points_far_from_the_box_are_nobodys_neighbour(truth):
    far = replace(truth, points=np.concatenate([truth.points, [[2.0, -75.0, 2.0]]]))
    mesh = dots([[2.0, -75.0, 2.5], *DOTS])
    assert dtu_scores(mesh, far)["completeness"] == pytest.approx(1.5)
    assert dtu_scores(mesh, far, DtuProtocol(margin=100.0))["completeness"] == pytest.approx((1 + 2 + 0.5) / 3)


def test_voxels_are_found_as_matlab_finds_them(tmp_path):
    observed = np.zeros((5, 7, 9))
    observed[1, 2, 3] = 1  # ObsMask(2, 3, 4) in MATLAB
    box = [[10, 20, 30], [18, 32, 46]]
    truth = read_dtu(write_dtu(tmp_path, 30, SCAN, observed, box, voxel=2.0), 30)
    center = np.array([12.0, 24.0, 36.0])
    assert is_observed(center[None], truth) == [True]
    for axis in range(3):
        step = np.eye(3)[axis]
        # round() of MATLAB takes halves up, so a voxel owns its lower side and not its upper one.
        around = center + np.array([-1.01, -1.0, 0.99, 1.0])[:, None] * step
        assert is_observed(around, truth).tolist() == [False, True, True, False]
    assert not is_observed(np.array([[-1e6, 24.0, 36.0], [1e6, 24.0, 36.0]]), truth).any()


def test_thinned_points_fill_a_mesh_to_the_density_and_no_further():
    mesh = trimesh.creation.icosphere(1, 10.0)
    points = thinned_points(mesh, DtuProtocol(density=0.5))
    assert not cKDTree(points).query_pairs(0.5)
    places = trimesh.sample.sample_surface(mesh, 5000, seed=0)[0]
    assert cKDTree(points).query(places)[0].max() < 1.0
    assert np.abs(np.linalg.norm(points, axis=1) - 10.0).max() < 1.3


def test_large_triangles_are_filled_before_thinning():
    triangle = trimesh.Trimesh([[0, 0, 0], [12, 0, 0], [2, 10, 5]], [[0, 1, 2]], process=False)
    points = thinned_points(triangle, DtuProtocol(density=0.2))
    places = trimesh.sample.sample_surface(triangle, 5000, seed=0)[0]
    assert np.quantile(cKDTree(points).query(places)[0], 0.99) < 0.3
    # At most one point for each hexagon as wide as the density.
    assert 0.4 < len(points) * 0.2**2 / triangle.area < 2 / np.sqrt(3)


def test_a_sphere_against_points_on_a_larger_one_is_as_far_as_their_radii(tmp_path):
    sphere = trimesh.creation.icosphere(4, 10.0)
    scan = trimesh.sample.sample_surface(trimesh.creation.icosphere(5, 10.5), 60_000, seed=0)[0]
    box, plane = [[-12.0] * 3, [12.0] * 3], [0.0, 0.0, 0.0, 1.0]
    truth = read_dtu(write_dtu(tmp_path, 24, scan, np.ones((25, 25, 25)), box, 1.0, plane), 24)
    found = dtu_scores(sphere, truth)
    assert found["accuracy"] == pytest.approx(0.5, abs=0.03) and found["completeness"] == pytest.approx(0.5, abs=0.03)
    assert found == dtu_scores(sphere, truth)
    other = dtu_scores(sphere, truth, DtuProtocol(seed=1))
    assert found["overall"] == pytest.approx(other["overall"], rel=0.01) and found["overall"] != other["overall"]


def test_the_scan_is_known_by_the_name_of_its_folder():
    names = ("scan24", "dtu_scan65", "scan_106", "cup", "24")
    assert [scan_of_name(name) for name in names] == [24, 65, 106, None, None]


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"ObsMask7_10\.mat: no such file; unpack"):
        read_dtu(tmp_path, 7)
    root = write_dtu(tmp_path, 7, SCAN, half_observed())
    region = root / "ObsMask" / "ObsMask7_10.mat"
    whole = {name: value for name, value in loadmat(region).items() if name[0] != "_"}
    savemat(region, {name: value for name, value in whole.items() if name != "BB"})
    with pytest.raises(InputError, match="BB is missing, expected 6 numbers"):
        read_dtu(root, 7)
    savemat(region, whole | {"ObsMask": np.ones((4, 4))})
    with pytest.raises(InputError, match=r"shape \(4, 4\), expected voxels"):
        read_dtu(root, 7)
    region.write_bytes(b"nonsense" * 40)
    with pytest.raises(InputError, match="not a readable MATLAB file"):
        read_dtu(root, 7)
    savemat(region, whole)
    (root / "Points" / "stl" / "stl007_total.ply").unlink()
    with pytest.raises(InputError, match=r"stl007_total\.ply: no such file; unpack the data set's Points\.zip"):
        read_dtu(root, 7)


def test_a_mesh_in_another_world_is_not_given_a_number(truth):
    with pytest.raises(InputError, match="none of the mesh's points lies in the observed region"):
        dtu_scores(dots([[500.0, 0.0, 0.0]]), truth)
    with pytest.raises(InputError, match="none of the scan's points lies above the ground"):
        dtu_scores(dots(DOTS), replace(truth, plane=np.array([0.0, 0.0, 1.0, -1e6])))
    with pytest.raises(InputError, match="nowhere nearer than the cap of 0.5 mm"):
        point_scores(np.array(DOTS), truth, DtuProtocol(cap=0.5))
