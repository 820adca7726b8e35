"""Depth maps fused on a lattice: space that several views see through is empty, all else stays as it was."""

import numpy as np
from scipy import ndimage

from neus.kernels.threads import ranges, run_tasks
from neus.stereo.plane_sweep import DepthMap, sampled_depths

# Depths are believed to this distance, in scene units: about two steps of a sweep, and never less than some voxels.
REACH, REACH_IN_STEPS = 0.03, 2.0
# So many views must see through a place, and this many times more than see a surface there.
N_THROUGH, THROUGH_PER_SURFACE = 3, 2.0
# So many views must see the surface near a vertex before their mean says where it is.
N_NEAR = 2
# Pieces of fewer vertices left floating, and hollows of any size that nothing leads into, are mistakes.
LEAST_PIECE = 30
# Removed matter comes back if so many masks miss it.
N_BARE = 3
CHUNK = 1 << 16


def carved(values: np.ndarray, maps: list[DepthMap]) -> tuple[np.ndarray, np.ndarray]:
    """`values`, raised to positive where the depth maps prove empty space, and where they were seen; (P, P, P) both.

    A vertex lies `depth of the surface - own depth` before what a view sees. Where this is more than a reach in several
    views, and few see a surface within twice the reach of the vertex, it is empty. Where some see the surface within
    reach, their mean is the signed distance (Curless & Levoy 1996). Views that see a surface well before the vertex say
    nothing, and matter is never added.

    Args:
        values: (P, P, P), negative inside, at vertices linspace(-1, 1, P) indexed [x, y, z].
        maps: of any number of views.

    Returns:
        float32 values, and bool: whether views saw a surface near or through a vertex of negative value.
    """
    axis = np.linspace(-1.0, 1.0, len(values), dtype=np.float32)
    reach = max(REACH, REACH_IN_STEPS * float(axis[1] - axis[0]))
    # Empty pixels are told from the nearest depth around them: the outlines of a sweep's depths are not sharp.
    nearest = [DepthMap(m.matrix, _nearest_around(m.depths)) for m in maps]
    places = np.argwhere(values < 0)
    before = np.empty(len(places), dtype=np.float32)

    def measure(start: int, end: int) -> None:
        points = np.ascontiguousarray(axis[places[start:end]].T)
        before[start:end] = _distances(points, maps, nearest, reach)

    run_tasks(measure, ranges(len(places), CHUNK))
    result = values.copy()
    index = tuple(places.T)
    result[index] = np.maximum(values[index], before)
    is_visible = np.zeros(values.shape, dtype=bool)
    is_visible[index] = before > -np.inf
    return _mended(values, result), is_visible


def _nearest_around(depths: np.ndarray) -> np.ndarray:
    """(H, W) the least of the depths in 3x3 windows; NaN stays, and does not spread."""
    least = ndimage.minimum_filter(np.where(np.isnan(depths), np.float32(np.inf), depths), 3, mode="nearest")
    return np.where(np.isnan(depths), depths, least)


def _distances(points: np.ndarray, maps: list[DepthMap], nearest: list[DepthMap], reach: float) -> np.ndarray:
    """(N,) distances of points (3, N) to what is seen, positive before it, at most the reach; -inf where unknown."""
    n_through, n_near, n_surface = (np.zeros(points.shape[1], dtype=np.int32) for _ in range(3))
    total = np.zeros(points.shape[1], dtype=np.float32)
    for exact, least in zip(maps, nearest, strict=True):
        depth, seen = sampled_depths(points, exact.matrix, exact.depths)
        before = seen - depth
        is_near = abs(before) <= reach
        total += np.where(is_near, before, 0.0)
        n_near += is_near
        n_surface += abs(before + reach / 2) <= 1.5 * reach
        n_through += sampled_depths(points, least.matrix, least.depths)[1] - depth > reach
    is_empty = (n_through >= N_THROUGH) & (n_through > THROUGH_PER_SURFACE * n_surface)
    mean = np.where(n_near >= N_NEAR, total / np.maximum(n_near, 1), np.float32(-np.inf))
    # What some see as surface and as many see through stays: the views contradict each other.
    return np.where(is_empty, np.float32(reach), np.minimum(mean, np.float32(reach))).astype(np.float32)


def with_silhouettes(values: np.ndarray, fused: np.ndarray, masks: list[DepthMap]) -> np.ndarray:
    """(P, P, P) `fused`, with the removed matter put back that the masks miss.

    A thin part may be taken for what is seen beside it. Then pixels of the masks become bare: nothing projects to them
    any more. What was removed and falls onto bare pixels of several views is put back; other matter on the line of sight
    of a bare pixel does so in one view only.

    Args:
        values, fused: before and after the carving.
        masks: of any number of views, `depths` 1 on the object and 0 elsewhere.
    """
    axis = np.linspace(-1.0, 1.0, len(values), dtype=np.float32)
    removed = np.argwhere((values < 0) & (fused >= 0))
    inside = fused < 0
    skin = np.argwhere(inside & ~ndimage.binary_erosion(inside))
    removed_points, skin_points = (np.ascontiguousarray(axis[places].T) for places in (removed, skin))
    n_bare = np.zeros((len(masks), len(removed)), dtype=bool)

    def look(view: int) -> None:
        matrix, mask = masks[view].matrix, masks[view].depths > 0
        covered = np.zeros(mask.size, dtype=np.uint8)
        numbers = np.arange(mask.size, dtype=np.float32).reshape(mask.shape)
        pixels = sampled_depths(skin_points, matrix, numbers)[1]
        covered[pixels[np.isfinite(pixels)].astype(np.int64)] = 1
        # A vertex of the skin stands for a whole cell about it.
        bare = mask & ~ndimage.binary_dilation(covered.reshape(mask.shape), np.ones((3, 3)))
        n_bare[view] = sampled_depths(removed_points, matrix, bare.astype(np.float32))[1] > 0

    run_tasks(look, [(view,) for view in range(len(masks))])
    back = tuple(removed[n_bare.sum(axis=0) >= N_BARE].T)
    result = fused.copy()
    result[back] = values[back]
    return result


def _mended(values: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """The fused values without hollows that nothing leads into and without specks of matter."""
    empty, _ = ndimage.label(fused >= 0)
    # What was empty before leads everywhere: the corners of the lattice lie outside of the ball.
    hollow = (empty > 0) & (empty != empty[0, 0, 0])
    fused = np.where(hollow, values, fused)
    pieces, n_pieces = ndimage.label(fused < 0)
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)
    sizes[0] = LEAST_PIECE
    return np.where(sizes[pieces] < LEAST_PIECE, abs(fused), fused)
