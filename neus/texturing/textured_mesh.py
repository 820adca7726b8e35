"""A mesh with a texture, as it is written to files."""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
import trimesh
from numpy.typing import NDArray
from PIL import Image

# JPEG: steps below those of 8 bits of a smooth surface; a fifth of the size of PNG.
QUALITY = 92


@dataclass(frozen=True)
class TexturedMesh:
    """A mesh laid out in a texture; a vertex on the border of charts stands once for each of them.

    Attributes:
        vertices: (k, 3) float64.
        normals: (k, 3) unit.
        uvs: (k, 2) in [0, 1], u to the right and v down, so that texel (row, column) is at v = (row + 0.5) / size.
        faces: (m, 3).
        texture: (size, size, 3) uint8 sRGB, with the light of the images in it.
        sources: (k,) the vertex of `surface` that each stands for.
        surface: the mesh itself, vertices once, with sRGB colours at them.
    """

    vertices: NDArray
    normals: NDArray
    uvs: NDArray
    faces: NDArray
    texture: NDArray
    sources: NDArray
    surface: trimesh.Trimesh

    def transformed(self, matrix: NDArray) -> "TexturedMesh":
        """The same moved by a similarity (4, 4) that does not mirror."""
        surface = self.surface.copy()
        surface.apply_transform(matrix)
        linear = matrix[:3, :3] / np.cbrt(np.linalg.det(matrix[:3, :3]))
        vertices = np.asarray(surface.vertices, np.float64)[self.sources]
        return TexturedMesh(vertices, self.normals @ linear.T, self.uvs, self.faces, self.texture, self.sources, surface)


def jpeg_of(texture: NDArray) -> bytes:
    """A JPEG file of (H, W, 3) uint8, colours at full resolution: charts are small."""
    buffer = BytesIO()
    Image.fromarray(texture).save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()
