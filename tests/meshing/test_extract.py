import math
import subprocess
import sys

import numpy as np
import pytest
import torch

from neus.errors import InputError
from neus.geometry import shapes
from neus.geometry.cup import object_sdf
from neus.meshing.extract import extract_mesh

BOX = 1.01 * torch.tensor([[-1.0] * 3, [1.0] * 3])


def sphere(points, radius=0.6):
    return shapes.sphere(points, radius)


def torus(points):
    return shapes.torus(points, 0.6, 0.25)


def cuboid(points):
    return shapes.box(points, (0.5, 0.3, 0.2))


def plate(points):
    # 0.024 thick: less than a tenth of a block of 16 cells, about one cell of the lattices below.
    return shapes.box(points, (0.5, 0.5, 0.012))


def assert_closed(mesh):
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert len(np.unique(mesh.vertices.astype(np.float32), axis=0)) == len(mesh.vertices)
    assert mesh.area_faces.min() > 0.0


@pytest.mark.parametrize(
    ("sdf", "volume"),
    [(sphere, 4 / 3 * math.pi * 0.6**3), (torus, 2 * math.pi**2 * 0.6 * 0.25**2), (cuboid, 0.24)],
)
@pytest.mark.parametrize(("resolution", "block"), [(101, 64), (100, 16), (97, 32)])
def test_the_mesh_is_closed_faces_outwards_and_holds_the_volume(sdf, volume, resolution, block):
    mesh = extract_mesh(sdf, BOX, resolution, block=block)
    assert_closed(mesh)
    # Outward faces have a positive volume; flattened edges and chords take a little of it.
    assert mesh.volume == pytest.approx(volume, rel=0.006)
    assert mesh.body_count == 1


def test_the_torus_has_its_hole():
    assert extract_mesh(torus, BOX, 64).euler_number == 0


def test_the_cup_of_the_built_in_scene_is_one_closed_piece_with_its_two_holes():
    mesh = extract_mesh(object_sdf, torch.tensor([[-0.9] * 3, [0.9] * 3]), 110)
    assert_closed(mesh)
    assert mesh.body_count == 1 and mesh.euler_number == -2
    assert object_sdf(torch.from_numpy(mesh.vertices)).abs().max() < 0.01


def test_vertices_lie_on_the_surface_with_an_error_of_second_order():
    errors = [sphere(torch.from_numpy(extract_mesh(sphere, BOX, n).vertices)).abs().max() for n in (33, 65, 129)]
    assert errors[0] / errors[1] > 3.0 and errors[1] / errors[2] > 3.0


@pytest.mark.parametrize("sdf", [torus, plate])
def test_the_mesh_is_the_same_whatever_the_size_of_the_blocks(sdf):
    whole = extract_mesh(sdf, BOX, 71, block=128)
    for block in (8, 16, 32):
        mesh = extract_mesh(sdf, BOX, 71, block=block)
        np.testing.assert_allclose(mesh.vertices, whole.vertices, atol=1e-12)
        assert set(map(tuple, np.sort(mesh.faces, 1))) == set(map(tuple, np.sort(whole.faces, 1)))


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("block", [16, 64])
def test_a_thin_plate_is_found_whole_whatever_the_slope_of_the_field(scale, block):
    mesh = extract_mesh(lambda points: scale * plate(points), BOX, 128, block=block)
    assert_closed(mesh)
    assert mesh.volume == pytest.approx(2 * 0.5 * 2 * 0.5 * 2 * 0.012, rel=0.05)
    np.testing.assert_allclose(mesh.bounds, [[-0.5, -0.5, -0.012], [0.5, 0.5, 0.012]], atol=0.016)


def test_a_thin_wire_between_lattice_blocks_is_not_lost():
    def wire(points):
        return shapes.capsule(points, (-0.7, -0.6, -0.5), (0.8, 0.5, 0.6), 0.02)

    mesh = extract_mesh(wire, BOX, 128, block=16)
    assert_closed(mesh)
    assert mesh.body_count == 1
    np.testing.assert_allclose(mesh.bounds, [[-0.72, -0.62, -0.52], [0.82, 0.52, 0.62]], atol=0.01)


def test_surfaces_exactly_on_lattice_points_leave_no_collapsed_faces():
    mesh = extract_mesh(lambda p: shapes.box(p, (0.5, 0.5, 0.5)), torch.tensor([[-1.0] * 3, [1.0] * 3]), 33, block=16)
    assert_closed(mesh)
    # Along its twelve edges the box loses half a cell's square.
    assert mesh.volume == pytest.approx(1.0 - 12 * (1 / 16) ** 2 / 2, abs=2e-3)


def test_the_mesh_closes_even_if_the_field_is_only_a_sign():
    mesh = extract_mesh(lambda p: torch.where(torus(p) < 0, -0.5, 0.5), BOX, 64, block=16)
    assert_closed(mesh)
    assert mesh.volume == pytest.approx(2 * math.pi**2 * 0.6 * 0.25**2, rel=0.02)


def test_the_mesh_of_a_rough_field_has_no_seams():
    def rough(points):
        return torus(points) + 0.1 * torch.sin(60 * points).prod(-1)

    mesh = extract_mesh(rough, BOX, 65, block=16)
    assert_closed(mesh)
    assert mesh.body_count > 10


def test_the_mesh_of_a_network_has_no_seams_though_batches_round_differently():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 64), torch.nn.Softplus(10), torch.nn.Linear(64, 1))

    def field(points):
        return sphere(points) + 0.3 * network(4 * points)[:, 0]

    assert_closed(extract_mesh(field, BOX, 65, block=8, chunk=1013))


def test_a_positive_level_shrinks_by_that_distance():
    mesh = extract_mesh(sphere, BOX, 64, level=0.1)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices, axis=1), 0.5, atol=1e-3)


def test_vertex_normals_are_those_of_the_field():
    mesh = extract_mesh(sphere, BOX, 40, gradient=lambda p: 3.0 * p)
    radial = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    np.testing.assert_allclose(mesh.vertex_normals, radial, atol=1e-6)


def test_where_the_gradient_vanishes_the_faces_give_the_normal():
    mesh = extract_mesh(sphere, BOX, 40, gradient=lambda p: p * (p[:, :1] > 0))
    radial = mesh.vertices / np.linalg.norm(mesh.vertices, axis=1, keepdims=True)
    assert (mesh.vertex_normals * radial).sum(1).min() > 0.99


def test_an_object_larger_than_the_box_is_closed_along_the_box_or_left_open():
    def large(points):
        return sphere(points, 1.2)

    closed = extract_mesh(large, BOX, 41, block=16)
    assert_closed(closed)
    np.testing.assert_allclose(closed.bounds, BOX, atol=1e-6)
    caps = 6 * math.pi * (1.2 - 1.01) ** 2 * (3 * 1.2 - (1.2 - 1.01)) / 3
    assert closed.volume == pytest.approx(4 / 3 * math.pi * 1.2**3 - caps, rel=0.01)
    assert not extract_mesh(large, BOX, 41, block=16, close_at_border=False).is_watertight


def test_a_box_with_three_different_sides_has_as_many_points_along_each():
    box = torch.tensor([[-1.0, -0.5, -0.4], [1.0, 0.7, 0.9]], dtype=torch.float64)
    mesh = extract_mesh(lambda p: shapes.torus(p, 0.3, 0.15), box, 77, block=16)
    assert_closed(mesh)
    assert mesh.volume == pytest.approx(2 * math.pi**2 * 0.3 * 0.15**2, rel=0.006)


@pytest.mark.parametrize(
    ("sdf", "message"),
    [
        (lambda p: p.norm(dim=-1) + 1.0, "from 1.*, all outside; the object lies outside the box"),
        (lambda p: p.norm(dim=-1) - 9.0, "all inside; the box lies within the object"),
        (lambda p: shapes.sphere(p - 0.004, 0.01), r"thinner than a lattice cell \(0.0321\); raise the resolution"),
        (lambda p: p[:, 0] * float("nan"), "NaN or infinite"),
    ],
)
def test_a_field_without_surface_is_refused_with_the_range_and_the_likely_causes(sdf, message):
    with pytest.raises(InputError, match=message) as caught:
        extract_mesh(sdf, BOX, 64)
    assert "\n" not in str(caught.value)


def test_a_gradient_that_is_not_a_number_and_a_lattice_of_one_point_are_refused():
    with pytest.raises(InputError, match="gradient on the surface is NaN"):
        extract_mesh(sphere, BOX, 33, gradient=lambda p: p * float("nan"))
    with pytest.raises(InputError, match="resolution 1, expected at least 2"):
        extract_mesh(sphere, BOX, 1)


LARGE = """
import resource, torch
from neus.geometry import shapes
from neus.meshing.extract import extract_mesh
mesh = extract_mesh(lambda p: shapes.torus(p, 0.6, 0.25), 1.01 * torch.tensor([[-1.0] * 3, [1.0] * 3]), 1024)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, mesh.volume)
"""


@pytest.mark.slow
def test_a_billion_lattice_points_need_less_than_two_gigabytes():
    result = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True)
    kilobytes, volume = map(float, result.stdout.split())
    assert kilobytes < 2e6
    assert volume == pytest.approx(2 * math.pi**2 * 0.6 * 0.25**2, rel=1e-4)
