"""USDZ, which phones of Apple show in the room: a stored archive of a .usdc file, by usd-core, and the JPEG texture."""

import importlib.util
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neus.errors import InputError
from neus.meshing.glb import rotation_matrix, up_to_y
from neus.texturing.textured_mesh import TexturedMesh, jpeg_of

# Where the data of each file of the archive begin: at multiples of this.
ALIGNMENT = 64
_TEXTURE, _LAYER = "texture.jpg", "model.usdc"
# The earliest date that a zip archive can hold, so that the same model gives the same file: 1 January 1980.
_DATE, _TIME = (1 << 5) | 1, 0


def check_has_usd() -> None:
    """InputError unless usd-core is installed, which USDZ needs."""
    if importlib.util.find_spec("pxr") is None:
        raise InputError("USDZ needs the package usd-core; pip install usd-core (or neus[usd]), or write .glb.")


def write_textured_usdz(
    mesh: TexturedMesh, path: Path, material: str = "unlit", up: NDArray | None = None, metres: float | None = None
) -> None:
    """Writes a textured mesh as a USDZ file: `path` is written directly, not beside its place.

    One mesh with its middle over the origin, +Y up, in metres (one unit as one metre where the unit is not known), without subdivision.
    The material is UsdPreviewSurface of roughness 1: `unlit` has the texture as its emission and no diffuse colour, since the format
    knows no unlit material, `pbr` as its diffuse colour.

    Args:
        mesh: in world units.
        path: of the file.
        material: `unlit` or `pbr`.
        up: (3,) the vertical of the world; None: not turned.
        metres: of a unit; None: not known.

    Raises:
        InputError: usd-core is not installed.
    """
    check_has_usd()
    turn = np.eye(3) if up is None else rotation_matrix(up_to_y(np.asarray(up, np.float64)).tolist())
    points = mesh.vertices @ turn.T * (metres or 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    # Viewers put the origin on the floor.
    points = points - [(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2]
    with tempfile.TemporaryDirectory(prefix="neus_usd_") as folder:
        layer = Path(folder) / _LAYER
        _write_stage(layer, points.astype(np.float32), mesh.normals @ turn.T, mesh, material)
        files = {_LAYER: layer.read_bytes(), _TEXTURE: jpeg_of(mesh.texture)}
    Path(path).write_bytes(stored_archive(files))


def _write_stage(path: Path, points: NDArray, normals: NDArray, mesh: TexturedMesh, material: str) -> None:
    from pxr import Gf, Kind, Sdf, Usd, UsdGeom, UsdShade, Vt

    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    root = UsdGeom.Xform.Define(stage, "/model")
    stage.SetDefaultPrim(root.GetPrim())
    Usd.ModelAPI(root).SetKind(Kind.Tokens.component)
    shape = UsdGeom.Mesh.Define(stage, "/model/mesh")
    shape.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    shape.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(normals.astype(np.float32)))
    shape.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    shape.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(mesh.faces), 3, np.int32)))
    shape.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(mesh.faces.astype(np.int32).ravel()))
    shape.CreateExtentAttr(Vt.Vec3fArray.FromNumpy(np.stack([points.min(axis=0), points.max(axis=0)])))
    shape.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    places = np.column_stack([mesh.uvs[:, 0], 1.0 - mesh.uvs[:, 1]]).clip(0.0, 1.0).astype(np.float32)
    kind = Sdf.ValueTypeNames.TexCoord2fArray
    UsdGeom.PrimvarsAPI(shape).CreatePrimvar("st", kind, UsdGeom.Tokens.vertex).Set(Vt.Vec2fArray.FromNumpy(places))
    look = UsdShade.Material.Define(stage, "/model/look")
    surface, reader, texture = (
        UsdShade.Shader.Define(stage, f"/model/look/{name}") for name in ("surface", "reader", "texture")
    )
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(1.0)
    surface.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
    texture.CreateIdAttr("UsdUVTexture")
    texture.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(_TEXTURE)
    texture.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set("sRGB")
    for wrap in ("wrapS", "wrapT"):
        texture.CreateInput(wrap, Sdf.ValueTypeNames.Token).Set("clamp")
    found = reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)
    texture.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(found)
    color = texture.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
    if material == "unlit":
        surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).Set(Gf.Vec3f(0.0))
    name = "emissiveColor" if material == "unlit" else "diffuseColor"
    surface.CreateInput(name, Sdf.ValueTypeNames.Color3f).ConnectToSource(color)
    look.CreateSurfaceOutput().ConnectToSource(surface.CreateOutput("surface", Sdf.ValueTypeNames.Token))
    UsdShade.MaterialBindingAPI.Apply(shape.GetPrim()).Bind(look)
    stage.GetRootLayer().Save()


def stored_archive(files: dict[str, bytes]) -> bytes:
    """A zip archive without compression in which the data of each file begin at a multiple of ALIGNMENT (USDZ 1.3).

    The room before them is an extra field of the local header, as PKWARE's APPNOTE 4.5 describes it.
    """
    body, directory = bytearray(), bytearray()
    for name, data in files.items():
        start, encoded = len(body), name.encode()
        room = -(start + 30 + len(encoded)) % ALIGNMENT
        room += ALIGNMENT if 0 < room < 4 else 0  # a field has four bytes of its own
        extra = struct.pack("<HH", 0x1986, room - 4) + bytes(room - 4) if room else b""
        facts = struct.pack("<HHHHHIII", 10, 0, 0, _TIME, _DATE, zlib.crc32(data), len(data), len(data))
        body += struct.pack("<I", 0x04034B50) + facts + struct.pack("<HH", len(encoded), len(extra)) + encoded + extra + data
        # Version made by, the same facts, name, no extra field, no comment, disk 0, attributes, where the header is.
        rest = struct.pack("<HHHHHII", len(encoded), 0, 0, 0, 0, 0, start)
        directory += struct.pack("<IH", 0x02014B50, 10) + facts + rest + encoded
    end = struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, len(files), len(files), len(directory), len(body), 0)
    return bytes(body + directory + end)
