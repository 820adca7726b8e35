"""Colours of a mesh handed on to one that is simplified from it, and colours of whatever a mesh file holds."""

import numpy as np
import trimesh
from scipy.spatial import cKDTree

# Rows of a texture start at its top, the second texture coordinate at its bottom.
_WHITE = 255


def texture_of(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray] | None:
    """The image (H, W, 3) uint8 sRGB and the coordinates (n, 2), from its lower left corner, of a textured mesh; None for others."""
    visual = mesh.visual
    if visual.kind != "texture" or visual.uv is None or len(visual.uv) != len(mesh.vertices):
        return None
    image = getattr(visual.material, "baseColorTexture", None) or getattr(visual.material, "image", None)
    return None if image is None else (np.asarray(image.convert("RGB")), np.asarray(visual.uv, np.float64))


def vertex_colors_of(mesh: trimesh.Trimesh) -> np.ndarray | None:
    """(n, 3) uint8 sRGB colours of a mesh's vertices, from its texture if it has one; None where nothing is said of colours."""
    if (texture := texture_of(mesh)) is not None:
        image, uv = texture
        height, width = image.shape[:2]
        columns = np.floor(uv[:, 0] % 1.0 * width).astype(int).clip(0, width - 1)
        rows = np.floor((1.0 - uv[:, 1]) % 1.0 * height).astype(int).clip(0, height - 1)
        return np.ascontiguousarray(image[rows, columns])
    if mesh.visual.kind in ("vertex", "face"):
        return np.array(mesh.visual.vertex_colors[:, :3], np.uint8)
    return None


def transferred_colors(source: np.ndarray, colors: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(m, 3) uint8 colours at target vertices (m, 3): the mean of the source vertices that each is nearest to.

    A simplified mesh has fewer vertices than colours: averaging keeps the tone where picking one would leave speckles. A target that is
    nearest to none takes the colour of the nearest source vertex.

    Args:
        source: (n, 3) vertices.
        colors: (n, 3) uint8, their sRGB colours.
        target: (m, 3) vertices in the same frame.

    >>> near = np.array([[0.0, 0, 0], [0.1, 0, 0], [5.0, 0, 0]])
    >>> transferred_colors(near, np.uint8([[10] * 3, [20] * 3, [90] * 3]), np.array([[0.0, 0, 0], [5.0, 0, 0]]))[:, 0].tolist()
    [15, 90]
    """
    nearest = cKDTree(target).query(source)[1]
    counts = np.bincount(nearest, minlength=len(target))
    sums = np.stack([np.bincount(nearest, colors[:, c], minlength=len(target)) for c in range(3)], axis=-1)
    mean = sums / np.maximum(counts, 1)[:, None]
    if (is_bare := counts == 0).any():
        mean[is_bare] = colors[cKDTree(source).query(target[is_bare])[1]]
    return mean.round().astype(np.uint8)


def glb_vertex_colors(path: str, n_vertices: int) -> np.ndarray | None:
    """(n, 3) uint8 sRGB of the vertex colours in a GLB file, which are linear there; None if it has no others than white ones."""
    loaded = trimesh.load(path, process=False)
    parts = list(loaded.geometry.values()) if isinstance(loaded, trimesh.Scene) else [loaded]
    found = [_attribute(part) for part in parts]
    if len(found) != 1 or found[0] is None or len(found[0]) != n_vertices:
        return None
    linear = found[0]
    if linear.dtype.kind in "ui":
        linear = linear / np.iinfo(linear.dtype).max
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)
    colors = (255.0 * curved.clip(0.0, 1.0)).round().astype(np.uint8)
    return None if (colors == _WHITE).all() else colors


def _attribute(mesh: trimesh.Trimesh) -> np.ndarray | None:
    for attributes in (getattr(mesh.visual, "vertex_attributes", {}), mesh.vertex_attributes):
        if "color" in attributes:
            return np.asarray(attributes["color"])[:, :3]
    return np.asarray(mesh.visual.vertex_colors)[:, :3] if mesh.visual.kind == "vertex" else None
