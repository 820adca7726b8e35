"""Less mesh: the largest component, and what the masks allow. Normals and colours of what stays are kept."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import trimesh
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from neus.errors import InputError
from neus.geometry.cameras import Camera, project


def largest_component(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The connected component of greatest area: unlike face counts, areas do not depend on the triangles' size."""
    n_vertices = len(mesh.vertices)
    starts, ends = mesh.faces.ravel(), np.roll(mesh.faces, -1, axis=1).ravel()
    edges = coo_matrix((np.ones(len(starts), bool), (starts, ends)), shape=(n_vertices, n_vertices))
    component_of_face = connected_components(edges, directed=False)[1][mesh.faces[:, 0]]
    areas = np.bincount(component_of_face, weights=mesh.area_faces)
    return with_faces(mesh, component_of_face == areas.argmax())


def clip_to_masks(
    mesh: trimesh.Trimesh, cameras: Sequence[Camera], masks: Sequence[np.ndarray], dilation_px: int = 12
) -> trimesh.Trimesh:
    """The mesh within the hull of the masks: no vertex falls outside a mask in an image that it falls into.

    A view says nothing about what lies beside its image or behind its camera. Faces with a vertex outside are left
    out, so the mesh is open where it was cut.

    Args:
        mesh: in the frame of the cameras.
        cameras: V views, at the size of their masks.
        masks: V arrays (H, W) bool, True on the object.
        dilation_px: by which masks are enlarged first, pixels; leave room for inexact masks, else they cut holes.

    Raises:
        InputError: nothing is left.
    """
    vertices = torch.from_numpy(np.array(mesh.vertices))
    is_inside = np.ones(len(vertices), bool)
    for camera, mask in zip(cameras, masks, strict=True):
        assert mask.shape == (camera.height, camera.width), "cameras and masks differ in size"
        is_inside &= _falls_into_mask(vertices, camera, _dilated(mask, dilation_px))
    keeps = is_inside[mesh.faces].all(axis=1)
    if not keeps.any():
        raise InputError(
            f"clipping to the masks: none of the {len(mesh.faces)} faces lies within all {len(masks)} masks; "
            "expected the mesh and the masks of the same scene. Leave the masks out, or dilate them more."
        )
    return with_faces(mesh, keeps)


def with_faces(mesh: trimesh.Trimesh, keeps: np.ndarray) -> trimesh.Trimesh:
    """A mesh of some of the faces, keeps (m,) bool, with the vertices, normals and colours that belong to them.

    >>> box = trimesh.creation.box()
    >>> len(with_faces(box, np.arange(12) < 2).vertices)
    4
    """
    faces = mesh.faces[keeps]
    is_used = np.zeros(len(mesh.vertices), bool)
    is_used[faces] = True
    numbers = np.cumsum(is_used) - 1
    part = trimesh.Trimesh(mesh.vertices[is_used], numbers[faces], process=False)
    part.vertex_normals = mesh.vertex_normals[is_used]
    if mesh.visual.kind == "vertex":
        part.visual.vertex_colors = mesh.visual.vertex_colors[is_used]
    return part


def _dilated(mask: np.ndarray, radius: int) -> np.ndarray:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return cv2.dilate(mask.astype(np.uint8), disc) > 0


def _falls_into_mask(vertices: torch.Tensor, camera: Camera, mask: np.ndarray) -> np.ndarray:
    """(n,) bool: whether each vertex falls into the mask, or not into the image at all."""
    pixels, depth = project(vertices, camera)
    x, y = np.floor(pixels.numpy()).T
    is_seen = (depth.numpy() > 0) & (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
    result = np.ones(len(vertices), bool)
    result[is_seen] = mask[y[is_seen].astype(int), x[is_seen].astype(int)]
    return result
