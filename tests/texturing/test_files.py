"""Files of textured models: read again, they hold what was written, as their formats have it."""

import json
import struct
import zipfile
from io import BytesIO

import numpy as np
import pytest
import trimesh
from PIL import Image

from neus.errors import InputError
from neus.evaluation.files import read_mesh
from neus.meshing.measures import is_closed
from neus.texturing.drawn import drawn
from neus.texturing.files import write_textured
from neus.texturing.textured_mesh import TexturedMesh, jpeg_of
from neus.texturing.textured_usdz import ALIGNMENT, stored_archive

UP = np.array([0.0, 0.0, 1.0])
COMPONENTS = {5126: "<f4", 5125: "<u4"}


def chunks_of(path):
    """JSON and binary chunk of a GLB file whose header is right."""
    data = path.read_bytes()
    magic, version, length, n_json, kind = struct.unpack("<5I", data[:20])
    assert (magic, version, length, kind) == (0x46546C67, 2, len(data), 0x4E4F534A) and n_json % 4 == 0
    n_binary, kind = struct.unpack("<2I", data[20 + n_json : 28 + n_json])
    assert kind == 0x004E4942 and n_binary % 4 == 0 and length == 28 + n_json + n_binary
    return json.loads(data[20 : 20 + n_json]), data[28 + n_json :]


def array_of(content, binary, number):
    accessor = content["accessors"][number]
    view = content["bufferViews"][accessor["bufferView"]]
    assert view["byteOffset"] % 4 == 0 and view["byteOffset"] + view["byteLength"] <= len(binary)
    part = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    width = {"SCALAR": 1, "VEC2": 2, "VEC3": 3}[accessor["type"]]
    return np.frombuffer(part, COMPONENTS[accessor["componentType"]]).reshape(accessor["count"], width)


def test_a_glb_file_holds_what_its_format_asks_for(textured_ball, tmp_path):
    model, path = textured_ball.model, tmp_path / "ball.glb"
    write_textured(model, path, up=UP, metres=0.001)
    content, binary = chunks_of(path)
    (primitive,) = content["meshes"][0]["primitives"]
    positions, uvs = (array_of(content, binary, primitive["attributes"][name]) for name in ("POSITION", "TEXCOORD_0"))
    indices = array_of(content, binary, primitive["indices"])
    assert np.allclose(positions, model.vertices, atol=1e-6) and np.allclose(uvs, model.uvs, atol=1e-6)
    assert np.array_equal(indices.reshape(-1, 3), model.faces)
    accessor = content["accessors"][primitive["attributes"]["POSITION"]]
    assert np.array_equal(np.float32(accessor["min"]), positions.min(axis=0))
    assert np.array_equal(np.float32(accessor["max"]), positions.max(axis=0))
    (material,) = content["materials"]
    assert content["extensionsUsed"] == ["KHR_materials_unlit"] and material["extensions"] == {"KHR_materials_unlit": {}}
    look = material["pbrMetallicRoughness"]
    assert (look["metallicFactor"], look["roughnessFactor"], look["baseColorTexture"]["index"]) == (0.0, 1.0, 0)
    assert content["textures"][0]["source"] == 0 and material["doubleSided"] is False
    (image,) = content["images"]
    view = content["bufferViews"][image["bufferView"]]
    stored = binary[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
    assert image["mimeType"] == "image/jpeg" and stored == jpeg_of(model.texture)
    found = np.asarray(Image.open(BytesIO(stored)))
    assert found.shape == model.texture.shape and np.abs(found.astype(int) - model.texture).mean() < 1.5
    assert content["buffers"][0]["byteLength"] == len(binary)
    assert content["asset"]["extras"] == {"unit": "metre", "scale_known": True, "source": "neus texture"}


def test_a_glb_file_is_read_by_others_upright_and_in_metres(textured_ball, tmp_path):
    model, path = textured_ball.model, tmp_path / "ball.glb"
    write_textured(model, path, up=UP, metres=0.001)
    loaded = trimesh.load(path, process=False).to_mesh()
    # z up becomes y up, and 1 mm 0.001 m.
    expected = model.vertices @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]).T * 0.001
    assert np.allclose(loaded.vertices, expected, atol=1e-9)
    assert np.allclose(loaded.visual.uv, np.column_stack([model.uvs[:, 0], 1 - model.uvs[:, 1]]), atol=1e-6)
    assert np.asarray(loaded.visual.material.baseColorTexture).shape == model.texture.shape
    # And by this program in the frame it was written in.
    assert np.allclose(read_mesh(path).vertices, model.vertices, atol=1e-6)


def test_what_is_read_again_is_drawn_as_before(textured_ball, tmp_path):
    model, path, camera = textured_ball.model, tmp_path / "ball.glb", textured_ball.scene.camera(3)
    write_textured(model, path)
    loaded = trimesh.load(path, process=False).to_mesh()
    texture = np.asarray(loaded.visual.material.baseColorTexture.convert("RGB"))
    uvs = np.column_stack([loaded.visual.uv[:, 0], 1 - loaded.visual.uv[:, 1]])
    again = TexturedMesh(np.asarray(loaded.vertices), model.normals, uvs, np.asarray(loaded.faces), texture, model.sources, model.surface)
    images = [drawn(mesh, camera)[0].astype(int) for mesh in (again, model)]
    assert np.abs(images[0] - images[1]).mean() < 1.0


def test_pbr_is_without_the_extension_and_has_normals(textured_ball, tmp_path):
    write_textured(textured_ball.model, tmp_path / "ball.glb", "pbr")
    content, binary = chunks_of(tmp_path / "ball.glb")
    normals = array_of(content, binary, content["meshes"][0]["primitives"][0]["attributes"]["NORMAL"])
    assert "extensionsUsed" not in content and np.allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    assert (np.einsum("ij,ij->i", normals, textured_ball.model.vertices) > 0).all()
    assert content["asset"]["extras"] == {"unit": "unknown", "scale_known": False, "source": "neus texture"}


def test_a_model_far_from_the_origin_keeps_its_digits(textured_ball, tmp_path):
    move = np.eye(4)
    move[:3, 3] = (5e6, 3e5, 100.0)
    write_textured(textured_ball.model.transformed(move), tmp_path / "ball.glb")
    loaded = trimesh.load(tmp_path / "ball.glb", process=False).to_mesh()
    assert np.allclose(loaded.vertices, textured_ball.model.vertices + move[:3, 3], atol=1e-6)


def test_an_obj_file_names_its_material_and_image(textured_ball, tmp_path):
    model = textured_ball.model
    write_textured(model, tmp_path / "my ball.obj")
    assert {path.name for path in tmp_path.iterdir()} == {"my ball.obj", "my_ball.mtl", "my_ball.jpg"}
    loaded = trimesh.load(tmp_path / "my ball.obj", process=False)
    corners = np.asarray(loaded.vertices)[loaded.faces]
    assert np.allclose(corners, model.vertices[model.faces], atol=1e-6)
    uvs = np.asarray(loaded.visual.uv)[loaded.faces]
    assert np.allclose(uvs[..., 0], model.uvs[model.faces][..., 0], atol=1e-6)
    assert np.allclose(1 - uvs[..., 1], model.uvs[model.faces][..., 1], atol=1e-6)
    assert np.asarray(loaded.visual.material.image).shape == model.texture.shape


def test_ply_and_stl_have_each_vertex_once(textured_ball, tmp_path):
    for name in ("ball.ply", "ball.stl"):
        write_textured(textured_ball.model, tmp_path / name)
    loaded = trimesh.load(tmp_path / "ball.ply", process=False)
    assert is_closed(loaded) and len(loaded.vertices) == 642 and loaded.visual.kind == "vertex"
    assert len(np.unique(loaded.visual.vertex_colors, axis=0)) > 100
    assert trimesh.load(tmp_path / "ball.stl").is_watertight


def test_usdz_is_valid_aligned_and_as_large_as_it_says(textured_ball, tmp_path):
    usd = pytest.importorskip("pxr.Usd", reason="usd-core is not installed")
    from pxr import UsdGeom, UsdShade

    path = tmp_path / "ball.usdz"
    write_textured(textured_ball.model, path, up=UP, metres=0.1)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and archive.namelist() == ["model.usdc", "texture.jpg"]
        assert archive.read("texture.jpg") == jpeg_of(textured_ball.model.texture)
    stage = usd.Stage.Open(str(path))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    box = UsdGeom.BBoxCache(usd.TimeCode.Default(), ["default"]).ComputeWorldBound(stage.GetDefaultPrim()).ComputeAlignedRange()
    height = np.ptp(textured_ball.model.vertices[:, 2]) * 0.1
    assert box.GetSize()[1] == pytest.approx(height, rel=1e-3) and box.GetMin()[1] == pytest.approx(0.0, abs=1e-6)
    shape = UsdGeom.Mesh(stage.GetPrimAtPath("/model/mesh"))
    uvs = np.array(UsdGeom.PrimvarsAPI(shape).GetPrimvar("st").Get())
    assert np.allclose(uvs[:, 1], 1 - textured_ball.model.uvs[:, 1], atol=1e-6)
    assert UsdShade.MaterialBindingAPI(shape).ComputeBoundMaterial()[0].GetPath() == "/model/look"
    try:
        from pxr import UsdValidation
    except ImportError:
        return
    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert [error.GetMessage() for error in UsdValidation.ValidationContext(validators).Validate(stage)] == []


@pytest.mark.parametrize("lengths", [(1, 1), (30, 63), (64, 65), (1000, 3), (0, 5)])
def test_files_of_an_archive_begin_at_multiples_of_64(lengths):
    files = {"a.usdc": bytes(lengths[0]), "texture.jpg": b"x" * lengths[1], "c": b"y"}
    data = stored_archive(files)
    with zipfile.ZipFile(BytesIO(data)) as archive:
        assert archive.testzip() is None and {name: archive.read(name) for name in archive.namelist()} == files
        for info in archive.infolist():
            n_name, n_extra = struct.unpack("<HH", data[info.header_offset + 26 : info.header_offset + 30])
            assert (info.header_offset + 30 + n_name + n_extra) % ALIGNMENT == 0 and info.compress_type == zipfile.ZIP_STORED


def test_an_unknown_format_is_refused(textured_ball, tmp_path):
    with pytest.raises(InputError, match=".fbx: unknown format of a textured model"):
        write_textured(textured_ball.model, tmp_path / "ball.fbx")
