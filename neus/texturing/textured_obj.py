"""OBJ with a material file and a JPEG texture beside it (Wavefront, 1992)."""

from pathlib import Path

import numpy as np

from neus.files import written_whole
from neus.texturing.textured_mesh import TexturedMesh, jpeg_of

# Digits of coordinates where the mesh is about as large as a unit, and of texture coordinates: 1/100 of a texel of 8192.
USUAL_DIGITS, DIGITS_OF_UVS = 8, 7


def obj_files(path: Path) -> list[Path]:
    """The three files of a model at `path`: .obj, .mtl and .jpg; spaces in the names of the latter two, which OBJ ends names at, are _."""
    stem = path.stem.replace(" ", "_")
    return [path, path.with_name(f"{stem}.mtl"), path.with_name(f"{stem}.jpg")]


def write_textured_obj(mesh: TexturedMesh, path: Path, material: str = "unlit") -> None:
    """Writes three files, each whole or not at all, the .obj last.

    Vertices stand once, and corners on the borders of charts differ in their texture coordinates alone; v runs up. `unlit` is
    illumination model 0 (the colour itself), `pbr` model 1 (matte).

    Args:
        mesh: in the frame that is written.
        path: of the .obj.
        material: `unlit` or `pbr`.

    Raises:
        InputError: a folder that cannot be written, or a full disk.
    """
    path, library, image = obj_files(Path(path))
    with written_whole(image) as beside:
        beside.write_bytes(jpeg_of(mesh.texture))
    model = 0 if material == "unlit" else 1
    lines = ["newmtl texture", "Ka 1 1 1", "Kd 1 1 1", "Ks 0 0 0", f"illum {model}", f"map_Kd {image.name}", ""]
    if model == 0:
        lines.insert(-1, f"map_Ka {image.name}")
    with written_whole(library) as beside:
        beside.write_text("\n".join(lines), encoding="utf-8")
    surface, uvs = mesh.surface, np.clip(mesh.uvs, 0.0, 1.0)
    vertices, places = np.asarray(surface.vertices), np.column_stack([uvs[:, 0], 1.0 - uvs[:, 1]])
    digits = max(USUAL_DIGITS, 7 - int(np.floor(np.log10(max(float(np.ptp(vertices, axis=0).max()), 1e-30)))))
    normals = np.zeros_like(vertices)
    normals[mesh.sources] = mesh.normals
    corners = np.stack([np.asarray(surface.faces), mesh.faces, np.asarray(surface.faces)], axis=-1).reshape(-1, 9) + 1
    with written_whole(path) as beside, open(beside, "w", encoding="utf-8") as file:
        file.write(f"mtllib {library.name}\n")
        np.savetxt(file, vertices, f"v %.{digits}f %.{digits}f %.{digits}f")
        np.savetxt(file, places, f"vt %.{DIGITS_OF_UVS}f %.{DIGITS_OF_UVS}f")
        np.savetxt(file, normals, "vn %.4f %.4f %.4f")
        file.write("usemtl texture\n")
        np.savetxt(file, corners, "f %d/%d/%d %d/%d/%d %d/%d/%d")
