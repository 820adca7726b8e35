"""GLB with a texture: the light is in the images, so the material is unlit."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neus.meshing.glb import FLOAT, matte, nodes, write_primitive
from neus.meshing.measures import is_closed
from neus.texturing.textured_mesh import TexturedMesh, jpeg_of

MATERIALS = ("unlit", "pbr")
# glTF's constants: linear filters, the smaller one with mip maps, and no repetition.
_SAMPLER = {"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}


def write_textured_glb(
    mesh: TexturedMesh,
    path: Path,
    material: str = "unlit",
    origin: NDArray | None = None,
    up: NDArray | None = None,
    scale: float = 1.0,
    extras: dict[str, Any] | None = None,
) -> None:
    """Writes a textured mesh as a GLB file: `path` is written directly, not beside its place.

    The texture is JPEG. `unlit` declares KHR_materials_unlit, and viewers that do not know it take the same material as matte (metallic
    0, roughness 1); `pbr` is matte for all, and has normals, so that it is lit by the viewer as well.

    Args:
        mesh: in the frame that is written.
        path: of the file.
        material: one of MATERIALS.
        origin, up: as in `glb.write_glb`.
        scale: metres of a unit, 1 where they are not known; on the root node.
        extras: kept as `asset.extras`.
    """
    vertices = (mesh.vertices - (0.0 if origin is None else origin)).astype("<f4")
    attributes = [("POSITION", vertices, "VEC3", FLOAT)]
    if material == "pbr":
        attributes.append(("NORMAL", mesh.normals.astype("<f4"), "VEC3", FLOAT))
    attributes.append(("TEXCOORD_0", np.clip(mesh.uvs, 0.0, 1.0).astype("<f4"), "VEC2", FLOAT))
    look = matte(not is_closed(mesh.surface))
    look["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    others: dict[str, Any] = {"samplers": [_SAMPLER], "textures": [{"sampler": 0, "source": 0}]}
    if material == "unlit":
        look["extensions"] = {"KHR_materials_unlit": {}}
        others["extensionsUsed"] = ["KHR_materials_unlit"]
    write_primitive(path, attributes, mesh.faces, look, nodes(origin, up, scale), others, [jpeg_of(mesh.texture)], extras)
