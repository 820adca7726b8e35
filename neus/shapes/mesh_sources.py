"""Meshes of a folder as shapes: normalised, sampled, with what is wrong with them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.evaluation.files import read_mesh
from neus.evaluation.sampling import sample_mesh
from neus.meshing.measures import is_closed
from neus.shapes.families import FARTHEST
from neus.shapes.mesh_signs import SignedMesh

SUFFIXES = (".obj", ".ply", ".stl", ".off", ".glb")
# A mesh is left out where both rules of signs differ for more than this part of the points near it.
MOST_DISAGREEMENT = 0.03
# Points near the surface and in the cube at which the rules are compared.
COMPARED = 4000


@dataclass(frozen=True, eq=False)
class SourceMesh:
    """One mesh, in its own units.

    Attributes:
        name: CLASS/INSTANCE.
        mesh: as read.
        path: the file.
    """

    name: str
    mesh: trimesh.Trimesh
    path: Path

    @property
    def normalization(self) -> tuple[NDArray, float]:
        """Offset (3,) and scale: normalised = (x + offset) * scale; the box's centre to the origin, the farthest vertex to 1 / 1.03."""
        vertices = np.asarray(self.mesh.vertices)[np.unique(self.mesh.faces)]
        offset = -(vertices.min(axis=0) + vertices.max(axis=0)) / 2
        return offset, FARTHEST / float(np.linalg.norm(vertices + offset, axis=1).max())

    def normalized(self, rule: str = "winding") -> SignedMesh:
        """The mesh in the normalised frame with a rule of signs."""
        offset, scale = self.normalization
        vertices = (np.asarray(self.mesh.vertices) + offset) * scale
        return SignedMesh(trimesh.Trimesh(vertices, self.mesh.faces, process=False), rule)


@dataclass(frozen=True)
class MeshFindings:
    """What was found about a mesh before it is sampled.

    Attributes:
        watertight: whether it is closed and wound alike; vertices at one place count as one.
        disagreement: fraction of points at which the two rules of signs differ.
        reason: why it is left out; empty if it is not.
    """

    watertight: bool
    disagreement: float
    reason: str = ""


def source_meshes(folder: Path) -> Iterator[SourceMesh]:
    """The meshes of a folder, recursively, in the order of their paths; a folder's name is the class.

    A `.npz` with `vertices` (V, 3) or (K, V, 3) and `faces` (F, 3) is one mesh, or K of one topology.

    Raises:
        InputError: no folder, no mesh in it, or a file that cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; expected meshes ({', '.join(SUFFIXES)}) in it, or in folders of it.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (*SUFFIXES, ".npz") and p.is_file())
    if not paths:
        raise InputError(f"{folder}: no meshes in it; expected files of {', '.join(SUFFIXES)}, also in folders of it.")
    for path in paths:
        kind = path.parent.name if path.parent != folder else folder.name
        if path.suffix.lower() != ".npz":
            yield SourceMesh(f"{kind}/{path.stem}", read_mesh(path), path)
            continue
        yield from (SourceMesh(f"{kind}/{path.stem}_{i:04d}", mesh, path) for i, mesh in enumerate(_stacked(path)))


def _stacked(path: Path) -> Iterator[trimesh.Trimesh]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            vertices, faces = np.asarray(archive["vertices"], np.float64), np.asarray(archive["faces"], np.int64)
        vertices = vertices[None] if vertices.ndim == 2 else vertices
        if vertices.ndim != 3 or vertices.shape[2] != 3 or faces.ndim != 2 or faces.max() >= vertices.shape[1]:
            raise ValueError(f"vertices {vertices.shape} and faces {faces.shape}")
    except Exception as error:  # damaged archives raise nearly anything
        raise InputError(f"{path}: no meshes ({error}); expected arrays vertices (K, V, 3) and faces (F, 3).") from error
    yield from (trimesh.Trimesh(v, faces, process=False) for v in vertices)


def mesh_findings(source: SourceMesh, seed: int = 0) -> MeshFindings:
    """Whether a mesh is closed, how far both rules of signs agree, and why it should be left out, if so."""
    signed = source.normalized()
    merged = trimesh.Trimesh(source.mesh.vertices, source.mesh.faces, process=True)
    generator = np.random.default_rng(seed)
    near = sample_mesh(signed.mesh, COMPARED, seed) + 0.05 * generator.standard_normal((COMPARED, 3))
    differs = signed.disagreement(np.concatenate([near, generator.uniform(-1.0, 1.0, (COMPARED // 2, 3))]))
    reason = ""
    if differs > MOST_DISAGREEMENT:
        reason = f"inside by winding numbers and by what is visible differ at {100 * differs:.1f} % of the points"
    return MeshFindings(is_closed(merged), differs, reason)
