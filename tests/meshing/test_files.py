import errno
import json
import os
import struct

import numpy as np
import pytest
import torch
import trimesh

from neus.errors import InputError
from neus.evaluation.files import read_mesh
from neus.geometry.poses import rotation_from_vector
from neus.geometry.similarity import similarity
from neus.meshing.clean import with_faces
from neus.meshing.files import in_world, write_mesh, written_resolution
from neus.meshing.measures import mesh_facts

ROTATION = rotation_from_vector(torch.tensor([0.3, 0.5, -0.2], dtype=torch.float64))
SCENE_TO_WORLD = similarity(300.0, torch.tensor([100.0, 2.0, 600.0], dtype=torch.float64), ROTATION)
# A handful of an object at the metres of a map (UTM).
ON_A_MAP = similarity(0.2, torch.tensor([448262.0, 5411932.0, 150.0], dtype=torch.float64), ROTATION)


@pytest.fixture
def mesh():
    """A ball whose normals and colours nobody could guess from its faces."""
    ball = trimesh.creation.icosphere(2, 0.5)
    generator = np.random.default_rng(0)
    ball.visual.vertex_colors = generator.integers(0, 255, (len(ball.vertices), 4), dtype=np.uint8) | [0, 0, 0, 255]
    normals = generator.normal(size=ball.vertices.shape)
    ball.vertex_normals = normals / np.linalg.norm(normals, axis=1, keepdims=True)
    return ball


class Glb:
    """A GLB file by the letter of glTF 2.0, without the library or the code that wrote it."""

    def __init__(self, path):
        data = path.read_bytes()
        magic, version, length, json_length, json_kind = struct.unpack("<4s4I", data[:20])
        assert (magic, version, length, json_kind) == (b"glTF", 2, len(data), 0x4E4F534A) and json_length % 4 == 0
        self.json = json.loads(data[20 : 20 + json_length])
        length, kind = struct.unpack("<2I", data[20 + json_length : 28 + json_length])
        self.binary = data[28 + json_length :]
        assert kind == 0x004E4942 and len(self.binary) == length == self.json["buffers"][0]["byteLength"]
        (self.primitive,) = self.json["meshes"][0]["primitives"]
        self.material = self.json["materials"][self.primitive["material"]]

    def array(self, number):
        accessor = self.json["accessors"][number]
        view = self.json["bufferViews"][accessor["bufferView"]]
        kind = {5123: "<u2", 5125: "<u4", 5126: "<f4"}[accessor["componentType"]]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        assert view["byteOffset"] % 4 == 0 and view["byteLength"] == accessor["count"] * width * int(kind[2])
        array = np.frombuffer(self.binary, kind, accessor["count"] * width, view["byteOffset"]).reshape(-1, width)
        return array / np.iinfo(kind).max if accessor.get("normalized") else array

    def attribute(self, name):
        return self.array(self.primitive["attributes"][name])

    def shown(self):
        """(n, 3) where a viewer puts the vertices, and (3, 3) how it turns them: both nodes' transforms by quaternion algebra."""
        (root,) = self.json["scenes"][self.json["scene"]]["nodes"]
        points, turn = self.attribute("POSITION").astype(np.float64), np.eye(3)
        (child,) = self.json["nodes"][root]["children"]
        assert self.json["nodes"][child]["mesh"] == 0
        for node in (self.json["nodes"][child], self.json["nodes"][root]):
            x, y, z, w = node.get("rotation", [0, 0, 0, 1])
            matrix = trimesh.transformations.quaternion_matrix([w, x, y, z])[:3, :3]
            points, turn = points @ matrix.T + node.get("translation", [0, 0, 0]), matrix @ turn
        return points, turn


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".PLY"])
def test_a_written_mesh_is_read_back_in_world_units_with_normals_and_colours(mesh, tmp_path, suffix):
    path = tmp_path / "new" / f"mesh{suffix}"
    assert write_mesh(mesh, path, SCENE_TO_WORLD) is None
    found = trimesh.load(path, process=False)
    np.testing.assert_array_equal(found.faces, mesh.faces)
    expected = 300.0 * mesh.vertices @ ROTATION.numpy().T + [100.0, 2.0, 600.0]
    np.testing.assert_allclose(found.vertices, expected, atol=1e-4)
    np.testing.assert_allclose(found.vertex_normals, mesh.vertex_normals @ ROTATION.numpy().T, atol=1e-6)
    np.testing.assert_array_equal(found.visual.vertex_colors[:, :3], mesh.visual.vertex_colors[:, :3])
    assert os.listdir(path.parent) == [path.name]


def test_a_glb_file_holds_the_mesh_in_world_units_with_linear_colours_on_matte_material(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "a.glb", SCENE_TO_WORLD)
    glb = Glb(tmp_path / "a.glb")
    points, turn = glb.shown()
    np.testing.assert_allclose(points, 300.0 * mesh.vertices @ ROTATION.numpy().T + [100.0, 2.0, 600.0], atol=1e-4)
    np.testing.assert_array_equal(turn, np.eye(3))
    np.testing.assert_allclose(glb.attribute("NORMAL"), mesh.vertex_normals @ ROTATION.numpy().T, atol=1e-6)
    np.testing.assert_array_equal(glb.array(glb.primitive["indices"]).reshape(-1, 3), mesh.faces)
    srgb, linear = mesh.visual.vertex_colors / 255.0, glb.attribute("COLOR_0")
    np.testing.assert_array_equal(linear[:, 3], 1.0)
    # The transfer function of sRGB, the other way.
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(encoded[:, :3], srgb[:, :3], atol=2e-4)
    assert glb.material["pbrMetallicRoughness"] == {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    assert glb.material["doubleSided"] is False
    accessor = glb.json["accessors"][glb.primitive["attributes"]["POSITION"]]
    bounds = glb.attribute("POSITION").min(axis=0), glb.attribute("POSITION").max(axis=0)
    np.testing.assert_array_equal([accessor["min"], accessor["max"]], bounds)


def test_a_glb_file_shows_the_backs_of_an_open_mesh_and_has_unit_normals_where_a_mesh_has_none(mesh, tmp_path):
    opened = with_faces(mesh, np.arange(len(mesh.faces)) > 3)
    normals = opened.vertex_normals.copy()
    normals[7] = 0.0
    opened.vertex_normals = normals
    write_mesh(opened, tmp_path / "a.glb")
    glb = Glb(tmp_path / "a.glb")
    assert glb.material["doubleSided"] is True
    np.testing.assert_allclose(np.linalg.norm(glb.attribute("NORMAL"), axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("up", [(0, 0, 1), (0, -1, 0), (0, 1, 0), (-2, 0, 0), (0.3, -0.8, 0.4)])
def test_a_glb_file_stands_upright_in_viewers_and_is_read_back_where_it_was(mesh, tmp_path, up):
    write_mesh(mesh, tmp_path / "a.glb", SCENE_TO_WORLD, np.array(up))
    points, turn = Glb(tmp_path / "a.glb").shown()
    np.testing.assert_allclose(turn @ up / np.linalg.norm(up), [0.0, 1.0, 0.0], atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)
    world = in_world(mesh, SCENE_TO_WORLD).vertices
    np.testing.assert_allclose(points, world @ turn.T, atol=1e-4)
    np.testing.assert_allclose(read_mesh(tmp_path / "a.glb").vertices, world, atol=1e-4)


def test_ply_and_obj_are_never_turned(mesh, tmp_path):
    for suffix in (".ply", ".obj"):
        write_mesh(mesh, tmp_path / f"a{suffix}", None, np.array([0.0, 0.0, 1.0]))
        np.testing.assert_allclose(read_mesh(tmp_path / f"a{suffix}").vertices, mesh.vertices, atol=1e-6)


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb"])
def test_a_mesh_at_the_metres_of_a_map_keeps_its_shape_and_place(mesh, tmp_path, suffix):
    origin = write_mesh(mesh, tmp_path / f"a{suffix}", ON_A_MAP, np.array([0.0, 0.0, 1.0]))
    found, expected = read_mesh(tmp_path / f"a{suffix}"), in_world(mesh, ON_A_MAP)
    assert len(np.unique(found.vertices, axis=0)) == len(mesh.vertices)
    np.testing.assert_allclose(found.vertices, expected.vertices, atol=1e-7)
    assert mesh_facts(found).area == pytest.approx(0.2**2 * mesh.area, rel=1e-5)
    if suffix == ".glb":
        np.testing.assert_allclose(origin, [448262.0, 5411932.0, 150.0], atol=0.1)
        assert np.abs(Glb(tmp_path / "a.glb").attribute("POSITION")).max() < 0.2
    else:
        assert origin is None


def test_a_ply_file_keeps_the_resolution_it_was_extracted_at(mesh, tmp_path):
    for name, resolution in (("a.ply", 512), ("b.ply", None), ("c.obj", 64)):
        write_mesh(mesh, tmp_path / name, resolution=resolution)
        assert written_resolution(tmp_path / name) == (512 if name == "a.ply" else None)
    np.testing.assert_array_equal(read_mesh(tmp_path / "a.ply").faces, mesh.faces)


def test_only_a_mesh_far_away_is_written_in_double(mesh, tmp_path):
    for name, place in (("near", SCENE_TO_WORLD), ("far", ON_A_MAP)):
        write_mesh(mesh, tmp_path / f"{name}.ply", place)
    assert b"property float x" in (tmp_path / "near.ply").read_bytes()[:400]
    assert b"property double x" in (tmp_path / "far.ply").read_bytes()[:400]


def test_a_tiny_mesh_keeps_its_digits_in_obj(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "a.obj", similarity(1e-6, torch.zeros(3, dtype=torch.float64)))
    np.testing.assert_allclose(read_mesh(tmp_path / "a.obj").vertices, 1e-6 * mesh.vertices, atol=1e-13)


def test_stl_holds_the_triangles_about_the_origin_that_is_returned(mesh, tmp_path):
    assert write_mesh(mesh, tmp_path / "a.stl") is None
    origin = write_mesh(mesh, tmp_path / "b.stl", ON_A_MAP)
    np.testing.assert_allclose(read_mesh(tmp_path / "a.stl").triangles, mesh.triangles, atol=1e-6)
    found = read_mesh(tmp_path / "b.stl").triangles + origin
    np.testing.assert_allclose(found, in_world(mesh, ON_A_MAP).triangles, atol=1e-7)


def test_without_a_transform_the_mesh_stays_in_the_scene_frame(mesh, tmp_path):
    write_mesh(mesh, tmp_path / "a.ply")
    np.testing.assert_allclose(read_mesh(tmp_path / "a.ply").vertices, mesh.vertices, atol=1e-7)


def test_a_mesh_without_normals_and_colours_gets_normals_from_its_faces_and_no_colours(tmp_path):
    ball = trimesh.creation.icosphere(2)
    write_mesh(ball, tmp_path / "a.ply")
    header = (tmp_path / "a.ply").read_bytes()[:400]
    assert b"property float nx" in header and b"red" not in header
    np.testing.assert_allclose(trimesh.load(tmp_path / "a.ply").vertex_normals, ball.vertex_normals, atol=1e-6)
    write_mesh(ball, tmp_path / "a.glb")
    assert set(Glb(tmp_path / "a.glb").primitive["attributes"]) == {"POSITION", "NORMAL"}


def test_the_mesh_given_is_not_moved_and_a_mirror_leaves_the_faces_outwards(mesh):
    before = mesh.vertices.copy()
    mirrored = in_world(mesh, torch.diag(torch.tensor([-2.0, 2.0, 2.0, 1.0])))
    np.testing.assert_array_equal(mesh.vertices, before)
    assert mirrored.volume == pytest.approx(8 * mesh.volume)


def test_an_unknown_suffix_is_refused_before_anything_is_written(mesh, tmp_path):
    with pytest.raises(InputError, match="unknown mesh format '.off'; name the file .ply, .obj, .glb, .stl"):
        write_mesh(mesh, tmp_path / "a.off")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_a_file_is_refused(mesh, tmp_path):
    (tmp_path / "meshes").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_mesh(mesh, tmp_path / "meshes" / "a.ply")


def test_more_than_a_glb_file_can_hold_is_refused(mesh, tmp_path, monkeypatch):
    monkeypatch.setattr("neus.meshing.glb._LARGEST", 1000)
    with pytest.raises(InputError, match="holds at most 4; simplify the mesh or write .ply"):
        write_mesh(mesh, tmp_path / "a.glb")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".glb", ".stl"])
def test_a_full_disk_leaves_the_former_file_whole_and_no_half(mesh, tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"former")

    def fill_up(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fill_up)
    with pytest.raises(InputError, match=rf"a\{suffix}: cannot be written \(No space left on device\)"):
        write_mesh(mesh, path)
    assert path.read_bytes() == b"former"
    assert os.listdir(tmp_path) == [path.name]
