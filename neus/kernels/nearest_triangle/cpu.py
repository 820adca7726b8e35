"""The nearest triangle of each point through a tree of boxes, compiled; signature and meaning are those of `reference`.

Triangles are ordered along a Morton curve (Morton 1966) and cut into leaves of a few; a complete binary tree stands on them,
in which every node is the box around its children. A search goes down the nearer child first and leaves out boxes that are
farther than what it has found: the result is exact. The tree takes some 30 bytes for each triangle.
"""

import numpy as np
from numba import njit

from neus.kernels.threads import ranges, run_tasks

TRIANGLES_PER_LEAF = 8
MORTON_BITS = 21  # three of them fill 64 bits
# Points searched for by one task, and triangles handled together while the tree is built.
PER_TASK, PER_CHUNK = 4096, 2**18
_compiled = njit(cache=True, nogil=True, error_model="numpy")


def nearest_triangles(points: np.ndarray, vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n,) and numbers (n,) of the nearest triangles; see `reference.nearest_triangles`."""
    points, vertices = (np.ascontiguousarray(x, dtype=np.float64) for x in (points, vertices))
    faces = np.ascontiguousarray(faces, dtype=np.int64)
    order = _morton_order(vertices, faces)
    boxes = _boxes(vertices, faces, order)
    distances, numbers = np.empty(len(points)), np.empty(len(points), np.int64)

    def search(start: int, stop: int) -> None:
        part = slice(start, stop)
        _search(points[part], vertices, faces, order, boxes, TRIANGLES_PER_LEAF, distances[part], numbers[part])

    run_tasks(search, ranges(len(points), PER_TASK))
    return distances, numbers


def _morton_order(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(m,) the triangles in the order of their centroids on the curve."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    cells = (2**MORTON_BITS - 1) / max(float((high - low).max()), np.finfo(np.float64).tiny)
    codes = np.empty(len(faces), np.uint64)
    for start, stop in ranges(len(faces), PER_CHUNK):
        centroids = vertices[faces[start:stop]].mean(axis=1)
        # Faces may leave out vertices, but not the other way round: centroids lie within the vertices' box.
        x, y, z = ((centroids - low) * cells).astype(np.uint64).T
        codes[start:stop] = _spread(x) | _spread(y) << np.uint64(1) | _spread(z) << np.uint64(2)
    return np.argsort(codes, kind="stable")


def _spread(bits: np.ndarray) -> np.ndarray:
    """Numbers of 21 bits with two zeros after each bit."""
    for shift, mask in (
        (32, 0x1F00000000FFFF),
        (16, 0x1F0000FF0000FF),
        (8, 0x100F00F00F00F00F),
        (4, 0x10C30C30C30C30C3),
        (2, 0x1249249249249249),
    ):
        bits = (bits | bits << np.uint64(shift)) & np.uint64(mask)
    return bits


def _boxes(vertices: np.ndarray, faces: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(2 L - 1, 6) lower and upper corners of all boxes: the children of node i are 2 i + 1 and 2 i + 2, L leaves last."""
    n_filled = -(-len(faces) // TRIANGLES_PER_LEAF)
    n_leaves = 1 << (n_filled - 1).bit_length()
    boxes = np.empty((2 * n_leaves - 1, 6))
    leaves = boxes[n_leaves - 1 :]
    leaves[:, :3], leaves[:, 3:] = np.inf, -np.inf  # an empty leaf is infinitely far from everything
    for start, stop in ranges(len(order), PER_CHUNK):
        corners = vertices[faces[order[start:stop]]]
        firsts = np.arange(0, stop - start, TRIANGLES_PER_LEAF)
        part = slice(start // TRIANGLES_PER_LEAF, start // TRIANGLES_PER_LEAF + len(firsts))
        leaves[part, :3] = np.minimum.reduceat(corners.min(axis=1), firsts)
        leaves[part, 3:] = np.maximum.reduceat(corners.max(axis=1), firsts)
    n_nodes = n_leaves
    while n_nodes > 1:
        children = boxes[n_nodes - 1 : 2 * n_nodes - 1].reshape(-1, 2, 6)
        n_nodes //= 2
        parents = boxes[n_nodes - 1 : 2 * n_nodes - 1]
        parents[:, :3], parents[:, 3:] = children[:, :, :3].min(axis=1), children[:, :, 3:].max(axis=1)
    return boxes


@_compiled
def _search(points, vertices, faces, order, boxes, per_leaf, distances, numbers):
    first_leaf = len(boxes) // 2
    stack, stack_distances = np.empty(64, np.int64), np.empty(64)
    for i in range(len(points)):
        p = points[i]
        nearest, number = np.inf, order[0]
        stack[0], stack_distances[0], height = 0, 0.0, 1
        while height > 0:
            height -= 1
            node = stack[height]
            if stack_distances[height] >= nearest:
                continue
            if node >= first_leaf:
                first = (node - first_leaf) * per_leaf
                for k in range(first, min(first + per_leaf, len(order))):
                    f = order[k]
                    squared = _to_triangle(p, vertices[faces[f, 0]], vertices[faces[f, 1]], vertices[faces[f, 2]])
                    if squared < nearest:
                        nearest, number = squared, f
                continue
            near, far = 2 * node + 1, 2 * node + 2
            to_near, to_far = _to_box(p, boxes[near]), _to_box(p, boxes[far])
            if to_far < to_near:
                near, far, to_near, to_far = far, near, to_far, to_near
            if to_far < nearest:
                stack[height], stack_distances[height] = far, to_far
                height += 1
            if to_near < nearest:
                stack[height], stack_distances[height] = near, to_near
                height += 1
        distances[i], numbers[i] = np.sqrt(nearest), number


@_compiled
def _to_box(p, box):
    squared = 0.0
    for axis in range(3):
        beyond = max(box[axis] - p[axis], p[axis] - box[axis + 3])
        if beyond > 0.0:
            squared += beyond * beyond
    return squared


@_compiled
def _to_triangle(p, a, b, c):
    squared = min(_to_segment(p, a, b), min(_to_segment(p, b, c), _to_segment(p, c, a)))
    b0, b1, b2 = b[0] - a[0], b[1] - a[1], b[2] - a[2]
    c0, c1, c2 = c[0] - a[0], c[1] - a[1], c[2] - a[2]
    p0, p1, p2 = p[0] - a[0], p[1] - a[1], p[2] - a[2]
    bb, bc, cc = b0 * b0 + b1 * b1 + b2 * b2, b0 * c0 + b1 * c1 + b2 * c2, c0 * c0 + c1 * c1 + c2 * c2
    bp, cp = b0 * p0 + b1 * p1 + b2 * p2, c0 * p0 + c1 * p1 + c2 * p2
    determinant = bb * cc - bc * bc
    if determinant > 0.0:
        along_b, along_c = (cc * bp - bc * cp) / determinant, (bb * cp - bc * bp) / determinant
        if along_b >= 0.0 and along_c >= 0.0 and along_b + along_c <= 1.0:
            p0 -= along_b * b0 + along_c * c0
            p1 -= along_b * b1 + along_c * c1
            p2 -= along_b * b2 + along_c * c2
            squared = min(squared, p0 * p0 + p1 * p1 + p2 * p2)
    return squared


@_compiled
def _to_segment(p, start, end):
    e0, e1, e2 = end[0] - start[0], end[1] - start[1], end[2] - start[2]
    p0, p1, p2 = p[0] - start[0], p[1] - start[1], p[2] - start[2]
    squared = e0 * e0 + e1 * e1 + e2 * e2
    fraction = 0.0
    if squared > 0.0:
        fraction = min(max((e0 * p0 + e1 * p1 + e2 * p2) / squared, 0.0), 1.0)
    p0, p1, p2 = p0 - fraction * e0, p1 - fraction * e1, p2 - fraction * e2
    return p0 * p0 + p1 * p1 + p2 * p2
