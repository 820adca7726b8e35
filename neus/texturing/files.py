"""Files of textured models, by their suffix, whole or not at all."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from neus.errors import InputError
from neus.files import written_whole
from neus.meshing.files import needed_origin, write_mesh
from neus.texturing.textured_glb import write_textured_glb
from neus.texturing.textured_mesh import TexturedMesh
from neus.texturing.textured_obj import write_textured_obj
from neus.texturing.textured_usdz import write_textured_usdz

SUFFIXES = (".glb", ".obj", ".usdz", ".ply", ".stl")


def write_textured(
    mesh: TexturedMesh, path: Path, material: str = "unlit", up: NDArray | None = None, metres: float | None = None
) -> None:
    """Writes a model in the format that the suffix names: .glb, .obj with .mtl and .jpg, .usdz; without a texture .ply, with colours
    at the vertices, and .stl.

    Args:
        mesh: in world units.
        path: missing folders are made.
        material: `unlit` or `pbr`, for formats that know the difference.
        up: (3,) the vertical of the world, which GLB and USDZ have along +Y.
        metres: of a unit of the world; None: not known, and coordinates stay as they are.

    Raises:
        InputError: unknown suffix, folder that cannot be written, disk full.
    """
    suffix = Path(path).suffix.lower()
    if suffix in (".ply", ".stl"):
        write_mesh(mesh.surface, path)
        return
    if suffix == ".obj":
        write_textured_obj(mesh, path, material)
        return
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: unknown format of a textured model; name the file {', '.join(SUFFIXES)}.")
    origin = needed_origin(mesh.surface)
    with written_whole(path) as beside:
        if suffix == ".usdz":
            write_textured_usdz(mesh, beside, material, up, metres)
            return
        write_textured_glb(mesh, beside, material, origin, up, metres or 1.0, unit_facts(metres))


def unit_facts(metres: float | None) -> dict[str, Any]:
    """What a file says of its unit."""
    return {"unit": "metre" if metres else "unknown", "scale_known": metres is not None, "source": "neus texture"}
