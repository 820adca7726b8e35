"""Marching cubes over one lattice (Lorensen and Cline 1987): PyMCubes, or scikit-image where PyMCubes has no wheel (Python 3.13 on)."""

import numpy as np

try:
    import mcubes
except ImportError:
    mcubes = None


def marching_cubes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The surface between negative and positive values, one vertex on each lattice edge whose ends differ in sign.

    Args:
        values: (X, Y, Z) float64, negative inside, none of them zero.

    Returns:
        Vertices (n, 3) float64 in lattice coordinates, and faces (m, 3) that are seen counter-clockwise from outside.

    >>> values = np.ones((3, 3, 3)); values[1, 1, 1] = -3.0
    >>> vertices, faces = marching_cubes(values)
    >>> len(faces), sorted(vertices[:, 0].tolist())
    (8, [0.25, 1.0, 1.0, 1.0, 1.0, 1.75])
    """
    return by_pymcubes(values) if mcubes is not None else by_scikit_image(values)


def by_pymcubes(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`marching_cubes` by PyMCubes."""
    return mcubes.marching_cubes(-values, 0.0)


def by_scikit_image(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`marching_cubes` by scikit-image, with the tables of Lorensen and Cline."""
    # Imported here: it takes a second, and is seldom needed.
    from skimage import measure

    found, faces, _, _ = measure.marching_cubes(values, 0.0, method="lorensen", gradient_direction="descent")
    # It computes in float32; which edge a vertex lies on is certain, and where on it is computed anew.
    rows, axes = np.arange(len(found)), np.abs(found - np.round(found)).argmax(axis=1)
    lower = np.round(found).astype(np.int64)
    lower[rows, axes] = np.floor(found[rows, axes])
    upper = lower.copy()
    upper[rows, axes] += 1
    starts, ends = values[tuple(lower.T)], values[tuple(upper.T)]
    vertices = lower.astype(np.float64)
    vertices[rows, axes] += starts / (starts - ends)
    return vertices, faces
