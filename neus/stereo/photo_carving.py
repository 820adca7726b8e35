"""Space that the plane sweep left filled, carved as far as the images' colours contradict each other there.

Hollows of an object with masks, carefully; and without masks the air about it, coarsely.
"""

import numpy as np
from scipy import ndimage

from neus.scenes.scene import Scene
from neus.stereo.depth_fusion import LEAST_PIECE
from neus.stereo.photo_consistency import Agreement, SkinObserver, color_views
from neus.stereo.plane_sweep import LONGEST_SIDE

# Skin is carved that disagrees more than nine tenths of what the sweep has proved to be surface, and never below the least
# limit. Beyond the largest the views disagree about the proven skin itself, as on shiny things: then colours prove nothing.
PROVEN_FRACTION, LEAST_LIMIT, LARGEST_LIMIT = 0.9, 0.6, 1.5
# A vertex that so many views agree on stays though the skin about it goes: a thin part within a fill. Fewer views have to
# agree better, by this factor.
N_SURE, SURE_OF_FEW = 3, 0.5
# Hollows deeper than so many steps, or so few vertices still going, are not worth the time; nor is looking at more vertices,
# each counted in every view, than take a CPU about six seconds. What is left then is judged as it is.
MOST_LAYERS, LEAST_CARVED, MOST_QUERIES = 40, 8, 24_000_000
# The scene must have so much proven skin to learn the limit from.
LEAST_PROVEN = 200
# A piece stays carved if its new skin is seen and agrees in this fraction at least, and disagrees this much less than what
# was carved: carving ends where views agree by chance, too, but then the skin is ragged and its patches do not agree.
LEAST_VISIBLE, LEAST_AGREEING, LARGEST_RATIO = 0.3, 0.6, 0.25
# Air is carved on a lattice and in images so many times coarser: the views see quite different things behind it, and
# disagree more than this, which edges of paint on a wall hardly do. Narrower ways than a step are such edges all the same.
AIR_COARSENESS, AIR_LIMIT, AIR_OPENING = 2, 6.0, 1


def photo_carved(fused: np.ndarray, is_visible: np.ndarray, scene: Scene) -> np.ndarray:
    """`fused`, raised to positive where matter hides a hollow: a step of space carving (Kutulakos & Seitz 2000).

    Layer by layer the skin goes whose colours differ between the views that see it by more than noise, texture and light
    explain. What the sweep has seen stays. The removal is tentative: on shiny things colours differ at any depth, and
    what is removed there comes back, for no surface turns up below it that the views agree on.

    Args:
        fused: (P, P, P), negative inside, after the sweep.
        is_visible: (P, P, P) bool, where the sweep saw the surface.
        scene: whose masks say which pixels show the object.
    """
    inside = fused < 0
    observer = SkinObserver(color_views(scene), len(fused))
    limit = _limit(observer, inside, is_visible)
    if limit is None:
        return fused
    carved, blame = _carve(observer, inside, is_visible, limit)
    carved &= inside
    removed = inside & ~carved
    if not removed.any():
        return fused
    back = _unproven(SkinObserver(observer.views, len(fused)), carved, removed, blame, limit)
    return _raised(fused, removed & ~back)


def air_carved(fused: np.ndarray, is_visible: np.ndarray, scene: Scene) -> np.ndarray:
    """`fused`, raised to positive in the air that a sweep cannot see through: before what has no texture.

    Without masks the shape begins as a ball, and matter left in the air hides a bare wall or a white skull behind it for
    good. Through a place in the air each view sees something else, so its skin goes, layer by layer, and what is behind
    it next (Kutulakos & Seitz 2000). What the sweep has seen stays unless it is too thin for the coarse lattice, and so does
    air before a wholly uniform background.

    Args:
        fused: (P, P, P), negative inside, after the sweep.
        is_visible: (P, P, P) bool, where the sweep saw the surface.
        scene: without masks.
    """
    inside = fused < 0
    coarse = -(-len(fused) // AIR_COARSENESS)
    views = color_views(scene, LONGEST_SIDE // AIR_COARSENESS)
    before = _resampled(inside, coarse) > 0.5
    proven = _resampled(is_visible & inside, coarse) > 0.25
    after, _ = _carve(SkinObserver(views, coarse), before, proven, AIR_LIMIT)
    air = ndimage.binary_opening(~before | ~after, iterations=AIR_OPENING)
    # What the coarse lattice missed goes with what went beside it.
    air &= ndimage.binary_dilation(air & before, iterations=2)
    left = _without_specks(inside & (_resampled(air, len(fused)) <= 0.5))
    return _raised(fused, inside & ~left)


def _resampled(volume: np.ndarray, resolution: int) -> np.ndarray:
    """Shares (P, P, P) of a bool volume between its vertices; the corners stay where they are."""
    return ndimage.zoom(volume.astype(np.float32), resolution / len(volume), order=1)


def _limit(observer: SkinObserver, inside: np.ndarray, is_visible: np.ndarray) -> float | None:
    """How much views disagree at most on skin that is surface; None if they do not tell."""
    places = np.argwhere(_skin(inside))
    found = observer.look(places, inside)
    proven = found.disagreement[is_visible[tuple(places.T)] & (found.n_views >= N_SURE)]
    proven = proven[np.isfinite(proven)]
    if len(proven) < LEAST_PROVEN:
        return None
    limit = max(float(np.quantile(proven, PROVEN_FRACTION)), LEAST_LIMIT)
    return limit if limit <= LARGEST_LIMIT else None


def _carve(
    observer: SkinObserver, inside: np.ndarray, is_visible: np.ndarray, limit: float
) -> tuple[np.ndarray, np.ndarray]:
    """The shape (P, P, P) without what disagrees, and by how much each vertex that went did."""
    inside = inside.copy()
    noted = np.zeros_like(inside)
    blame = np.zeros(inside.shape, dtype=np.float32)
    n_queries = 0
    for _ in range(MOST_LAYERS):
        skin = _skin(inside)
        proven = skin & is_visible & ~noted
        if proven.any():
            observer.hide_behind(np.argwhere(proven))
            noted |= proven
        places = np.argwhere(skin & ~is_visible)
        n_queries += len(places) * len(observer.views)
        if len(places) == 0 or n_queries > MOST_QUERIES:
            break
        found = observer.look(places, inside)
        goes = _goes(found, limit)
        at = tuple(places[goes].T)
        inside[at] = False
        blame[at] = found.disagreement[goes]
        if goes.sum() < LEAST_CARVED:
            break
    return _without_specks(_without_pits(inside)), blame


def _goes(found: Agreement, limit: float) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        is_sure = found.own < np.where(found.n_views >= N_SURE, limit, SURE_OF_FEW * limit)
        return (found.disagreement > limit) & ~is_sure


def _unproven(
    observer: SkinObserver, carved: np.ndarray, removed: np.ndarray, blame: np.ndarray, limit: float
) -> np.ndarray:
    """Those of the removed vertices (P, P, P) whose piece laid no surface bare that the views agree on."""
    # Where carving stopped by chance, smoothing moves the skin to where nothing agrees.
    region = ndimage.binary_dilation(removed, iterations=2)
    smooth = np.where(region, ndimage.gaussian_filter(carved.astype(np.float32), 1.0) > 0.5, carved)
    places = np.argwhere(_skin(smooth))
    found = observer.look(places, smooth)
    pieces, n_pieces = ndimage.label(removed, np.ones((3, 3, 3)))
    # The skin within two steps of a piece is what it laid bare.
    near = ndimage.maximum_filter(pieces, 5)[tuple(places.T)]
    kept = np.zeros(n_pieces + 1, dtype=bool)
    before = ndimage.median(blame, pieces, np.arange(1, n_pieces + 1))
    for piece in range(1, n_pieces + 1):
        now = found.disagreement[near == piece]
        seen = now[np.isfinite(now)]
        if len(seen) < max(LEAST_VISIBLE * len(now), LEAST_PIECE):
            continue
        agreeing = (seen < limit).mean()
        kept[piece] = agreeing > LEAST_AGREEING and np.median(seen) < LARGEST_RATIO * before[piece - 1]
    return removed & ~kept[pieces]


def _skin(inside: np.ndarray) -> np.ndarray:
    return inside & ~ndimage.binary_erosion(inside, border_value=1)


def _without_pits(inside: np.ndarray) -> np.ndarray:
    """The shape with its finest pits and slits filled: a skin's patches reach over its edges and eat into them."""
    return ~ndimage.binary_opening(~inside, ndimage.generate_binary_structure(3, 2))


def _without_specks(inside: np.ndarray) -> np.ndarray:
    pieces, n_pieces = ndimage.label(inside)
    sizes = np.bincount(pieces.ravel(), minlength=n_pieces + 1)
    return inside & (sizes[pieces] >= LEAST_PIECE)


def _raised(fused: np.ndarray, removed: np.ndarray) -> np.ndarray:
    """Values of removed vertices turned positive, so that the surface lies half a step beyond them."""
    return np.where(removed, np.maximum(abs(fused), 1e-3), fused).astype(fused.dtype)
