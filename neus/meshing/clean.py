"""Less mesh: pieces that float, all but the largest, what masks rule out. Normals and colours of what stays are kept."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import trimesh

from neus.errors import InputError
from neus.geometry.cameras import Camera, project
from neus.geometry.similarity import transform_points
from neus.meshing.measures import piece_areas, piece_of_vertex

# A piece smaller than this part of the largest one's area is no part of the object that anyone would miss.
FLOATER_FRACTION = 0.01
# Masks are inexact: a piece must fall this part of the image's width beside a mask, in more than this fraction of the views.
SLACK_FRACTION, WRONG_FRACTION = 0.01, 0.05
# Vertices of a piece that are tested; the piece goes if most of them lie outside.
SAMPLED_FACES = 2000


def largest_component(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The connected component of greatest area: unlike face counts, areas do not depend on the triangles' size."""
    pieces = piece_of_vertex(mesh)
    return with_faces(mesh, pieces[mesh.faces[:, 0]] == piece_areas(mesh, pieces).argmax())


def without_floaters(
    mesh: trimesh.Trimesh,
    cameras: Sequence[Camera] = (),
    masks: Sequence[np.ndarray] = (),
    min_fraction: float = FLOATER_FRACTION,
) -> trimesh.Trimesh:
    """The mesh without pieces (connected components) that float in free space, and without bubbles inside it.

    First pieces go of which most lies outside the visual hull, by SLACK_FRACTION of the image's width in more than
    WRONG_FRACTION of all views; then those whose area is less than `min_fraction` of the largest that is left. What stays is
    whole: nothing is cut, a closed mesh stays closed.

    Args:
        mesh: in the frame of the cameras.
        cameras, masks: V views and arrays (H, W) bool of their sizes, True on the object; none judge by size alone.
        min_fraction: of the area of the largest piece.

    Raises:
        InputError: no piece lies within the masks.
    """
    pieces = piece_of_vertex(mesh)
    areas = piece_areas(mesh, pieces)
    if len(cameras):
        areas[_fraction_outside(mesh, pieces, cameras, masks) > 0.5] = 0.0
        if not areas.any():
            raise InputError(
                f"cleaning: none of the {len(areas)} pieces of the mesh lies within the masks; "
                "expected the mesh and the masks of the same scene. Check --data, or leave --clean out."
            )
    return with_faces(mesh, (areas >= max(min_fraction * areas.max(), np.finfo(float).tiny))[pieces[mesh.faces[:, 0]]])


def _fraction_outside(
    mesh: trimesh.Trimesh, pieces: np.ndarray, cameras: Sequence[Camera], masks: Sequence[np.ndarray]
) -> np.ndarray:
    """(p,) the fraction of each piece's vertices that lie outside the visual hull."""
    order = np.argsort(pieces, kind="stable")
    sizes = np.bincount(pieces)
    place = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    stride = np.repeat(-(-sizes // SAMPLED_FACES), sizes)
    looked_at = order[place % stride == 0]
    vertices, pieces = torch.from_numpy(np.array(mesh.vertices[looked_at])), pieces[looked_at]
    n_outside = np.zeros(len(vertices), int)
    for camera, mask in zip(cameras, masks, strict=True):
        assert mask.shape == (camera.height, camera.width), "cameras and masks differ in size"
        n_outside += ~_falls_into_mask(vertices, camera, _dilated(mask, SLACK_FRACTION * camera.width))
    is_outside = n_outside > WRONG_FRACTION * len(masks)
    return np.bincount(pieces, is_outside, minlength=len(sizes)) / np.bincount(pieces, minlength=len(sizes))


def clip_to_masks(
    mesh: trimesh.Trimesh, cameras: Sequence[Camera], masks: Sequence[np.ndarray], dilation_px: int = 12
) -> trimesh.Trimesh:
    """The mesh within the visual hull: no vertex falls outside a mask in an image that it falls into.

    A view has no say on what lies outside of its image or behind its camera. Faces with a vertex outside are left
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


def cropped(mesh: trimesh.Trimesh, box: np.ndarray, to_box_frame: torch.Tensor | None = None) -> trimesh.Trimesh:
    """The faces that lie within a box, whole; the mesh is open where it was cut.

    Args:
        mesh: in any frame.
        box: (2, 3) lower and upper corner.
        to_box_frame: (4, 4) from the mesh's frame to the box's; None if they are the same.

    Raises:
        InputError: nothing is left.
    """
    points = torch.from_numpy(np.array(mesh.vertices))
    placed = (points if to_box_frame is None else transform_points(to_box_frame.cpu(), points)).numpy()
    keeps = ((placed >= box[0]) & (placed <= box[1])).all(axis=1)[mesh.faces].all(axis=1)
    if not keeps.any():
        low, high = (f"[{', '.join(f'{x:.6g}' for x in corner)}]" for corner in (placed.min(axis=0), placed.max(axis=0)))
        raise InputError(
            f"crop: none of the {len(mesh.faces)} faces lies within it; the mesh spans {low} to {high}. Move or enlarge the box."
        )
    return with_faces(mesh, keeps)


def with_faces(mesh: trimesh.Trimesh, keeps: np.ndarray) -> trimesh.Trimesh:
    """A mesh of some of the faces, keeps (m,) bool, with the vertices, normals and colours that belong to them.

    The mesh itself if all are kept.

    >>> box = trimesh.creation.box()
    >>> len(with_faces(box, np.arange(12) < 2).vertices)
    4
    """
    if keeps.all():
        return mesh
    faces = mesh.faces[keeps]
    is_used = np.zeros(len(mesh.vertices), bool)
    is_used[faces] = True
    numbers = np.cumsum(is_used) - 1
    part = trimesh.Trimesh(mesh.vertices[is_used], numbers[faces], process=False)
    part.vertex_normals = mesh.vertex_normals[is_used]
    if mesh.visual.kind == "vertex":
        part.visual.vertex_colors = mesh.visual.vertex_colors[is_used]
    return part


def _dilated(mask: np.ndarray, radius: float) -> np.ndarray:
    """The mask grown by a radius in pixels; by the distance transform, whose time does not grow with the radius."""
    if not mask.any():
        return mask
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE) <= radius


def _falls_into_mask(vertices: torch.Tensor, camera: Camera, mask: np.ndarray) -> np.ndarray:
    """(n,) bool: whether each vertex falls into the mask, or not into the image at all."""
    pixels, depth = project(vertices, camera)
    x, y = np.floor(pixels.numpy()).T
    is_visible = (depth.numpy() > 0) & (x >= 0) & (y >= 0) & (x < camera.width) & (y < camera.height)
    result = np.ones(len(vertices), bool)
    result[is_visible] = mask[y[is_visible].astype(int), x[is_visible].astype(int)]
    return result
