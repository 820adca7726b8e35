"""Charts laid side by side in one square texture: by xatlas, else in rows."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neus.texturing.charts import LIMIT_OF_PACKING, Charts, Worker, signed_areas

SIZES = (1024, 2048, 4096, 8192)
# Texels between charts in the texture: four stay free beside those that their borders run through.
PADDING = 5
# The part of a texture that charts and the texels around them fill, about; packing once tells it, and is corrected once.
USUAL_FILL = 0.72
# Charts are packed on a raster of at most so many cells, every place of which is tried: a cell is three texels of 4096. The time grows with
# its fourth power. Packing is repeated with another scale until the charts fill that raster but for SLACK, at most so many times.
RASTER, SLACK, MOST_ROUNDS = 1365, 0.05, 3
# Cells of the raster below whose number a chart may leave no trace on it, and others would be packed on top of it.
THIN = 2.0
# Of fewer charts than these each is so large that trying every place takes long, and gains nothing.
FEW_CHARTS = 200
# At most this part of that is for padding; with more charts than that leaves room for, there is less padding.
MOST_PADDING = 0.5
# Texels along a pixel of the image: where they are as many, interpolating between them once more blurs what pixels show.
TEXELS_PER_PIXEL = 1.4
# Texels left free at the border of the texture.
BORDER = 1.0


class Atlas(NamedTuple):
    """A mesh laid out in a square texture.

    Attributes:
        sources: (k,) the vertex of the mesh that each corner is made of.
        faces: (m, 3) among the corners, in the order of the mesh.
        places: (k, 2) x to the right and y down in texels, the first texel's centre at (0.5, 0.5).
        size: of the texture, texels.
        n_charts: how many.
        utilization: the part of the texture that charts cover.
    """

    sources: NDArray
    faces: NDArray
    places: NDArray
    size: int
    n_charts: int
    utilization: float


def texture_size(sides: NDArray, most: int) -> int:
    """The smallest of SIZES whose texture holds charts that cover squares with so many texels (c,) on a side, or `most`.

    >>> texture_size(np.array([1000.0, 500.0]), 4096), texture_size(np.array([1e5]), 4096)
    (2048, 4096)
    """
    needed = np.sqrt(((sides + PADDING) ** 2).sum() / USUAL_FILL)
    return min([size for size in SIZES if size >= needed] + [most])


def chart_sides(charts: Charts) -> NDArray:
    """(c,) sides of squares as large as each chart, in the unit of the charts."""
    return np.sqrt(np.bincount(charts.numbers, np.abs(signed_areas(charts.uvs[charts.faces]))))


def packed_atlas(charts: Charts, size: int, use_xatlas: bool = True, limit: float = LIMIT_OF_PACKING) -> Atlas:
    """The charts in a texture of a size, all at the same scale, PADDING texels between them.

    Args:
        charts: as from `charts_of`.
        size: texels.
        use_xatlas: False packs the charts in rows.
        limit: seconds for xatlas, after which the charts are packed in rows.
    """
    sides, places, extent = chart_sides(charts), None, np.inf
    raster = min(size, RASTER)
    room = MOST_PADDING * USUAL_FILL * raster**2 / len(sides)
    padding = max(1, min(round(PADDING * raster / size), int(np.sqrt(room))))
    scale = _scale(sides, padding, raster)
    worker = Worker()
    try:
        for _ in range(MOST_ROUNDS if use_xatlas else 0):
            shapes = _with_frames(charts, 1.0 / scale)
            request = {"uvs": shapes.uvs, "faces": shapes.faces, "charts": shapes.numbers, "padding": padding - 1}
            # One more cell is left for filters.
            request["tries_all"] = len(sides) >= FEW_CHARTS
            answer = worker.ask(limit, task="pack", texels_per_unit=scale, **request)
            if answer is None or not np.array_equal(answer["sources"][answer["faces"]], shapes.faces):
                break
            side = float(answer["size"].max()) + 2 * BORDER * raster / size
            packed, extent = np.zeros_like(shapes.uvs), side
            packed[answer["sources"]] = answer["uvs"]
            places = _out_of_frames(charts, shapes, packed)
            if 1.0 - SLACK < extent / raster <= 1.0:
                break
            scale *= raster / extent * (1.0 - SLACK / 2)
    finally:
        worker.close()
    if places is None:
        places, extent = _in_rows(charts, size)
    places = places * (size / extent) + BORDER
    covered = float(np.abs(signed_areas(places[charts.faces])).sum())
    n_charts = int(charts.numbers.max(initial=-1)) + 1
    return Atlas(charts.sources, charts.faces, places, size, n_charts, covered / size**2)


class _Framed(NamedTuple):
    """What is packed: charts, and in place of thin ones rectangles around them, which take room on the raster all along.

    `uvs`, `faces` and `numbers` are as in `Charts`, the corners of frame i the last 4 i to 4 i + 3. `inside` (q,) are the corners of the
    thin charts, `frames` (q,) which frame each is in, and `parts` (q, 2) where, from 0 to 1 along its sides.
    """

    uvs: NDArray
    faces: NDArray
    numbers: NDArray
    inside: NDArray
    frames: NDArray
    parts: NDArray


def _with_frames(charts: Charts, cell: float) -> _Framed:
    """The charts with frames for those that are thinner than THIN cells, which are so wide in the unit of the charts."""
    of_corner = np.zeros(len(charts.uvs), np.int64)
    of_corner[charts.faces] = charts.numbers[:, None]
    n = int(of_corner.max(initial=-1)) + 1
    counts = np.maximum(np.bincount(of_corner, minlength=n), 1)
    middle = np.stack([np.bincount(of_corner, charts.uvs[:, i], minlength=n) / counts for i in (0, 1)], axis=-1)
    away = charts.uvs - middle[of_corner]
    spread = np.stack([np.bincount(of_corner, away[:, i] * away[:, j], minlength=n) for i, j in ((0, 0), (0, 1), (0, 1), (1, 1))], axis=-1)
    axes = np.linalg.eigh(spread.reshape(n, 2, 2))[1]
    along = np.einsum("ki,kij->kj", away, axes[of_corner])
    low, high = np.full((n, 2), np.inf), np.full((n, 2), -np.inf)
    np.minimum.at(low, of_corner, along)
    np.maximum.at(high, of_corner, along)
    thin = np.flatnonzero((high - low).min(axis=1) < THIN * cell)
    low, high = low - cell / 2, high + cell / 2
    order = np.full(n, -1)
    order[thin] = np.arange(len(thin))
    inside = np.flatnonzero(order[of_corner] >= 0)
    own = of_corner[inside]
    parts = (along[inside] - low[own]) / (high - low)[own]
    x, y = (np.stack([low[thin, i], high[thin, i]], axis=-1) for i in (0, 1))
    corners = np.stack([np.stack([x[:, i], y[:, j]], axis=-1) for i, j in ((0, 0), (1, 0), (1, 1), (0, 1))], axis=1)
    corners = np.einsum("fcj,fij->fci", corners, axes[thin]) + middle[thin][:, None]
    first = len(charts.uvs) + 4 * np.arange(len(thin))[:, None]
    frames = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
    kept = order[charts.numbers] < 0
    uvs = np.concatenate([charts.uvs, corners.reshape(-1, 2)])
    numbers = np.concatenate([charts.numbers[kept], thin, thin])
    return _Framed(uvs, np.concatenate([charts.faces[kept], frames]), numbers, inside, order[own], parts)


def _out_of_frames(charts: Charts, shapes: _Framed, packed: NDArray) -> NDArray:
    """Places (k, 2) of the charts' corners, those of thin charts by the places of their frames."""
    n = len(charts.uvs)
    places, frames = packed[:n].copy(), packed[n:].reshape(-1, 4, 2)[shapes.frames]
    origin, x, y = frames[:, 0], frames[:, 1] - frames[:, 0], frames[:, 3] - frames[:, 0]
    places[shapes.inside] = origin + shapes.parts[:, :1] * x + shapes.parts[:, 1:] * y
    # Corners of faces without an area are not placed (xatlas leaves them at 0): they go with their chart, by the map of its others.
    is_placed = (places != 0.0).any(axis=1)
    of_corner = np.zeros(n, np.int64)
    of_corner[charts.faces] = charts.numbers[:, None]
    order = np.argsort(of_corner, kind="stable")
    edges = np.searchsorted(of_corner[order], np.arange(of_corner.max() + 2))
    for chart in np.unique(of_corner[~is_placed]):
        own = order[edges[chart] : edges[chart + 1]]
        known = own[is_placed[own]]
        if len(known):
            middle = charts.uvs[known].mean(axis=0)
            rows = np.column_stack([charts.uvs[own] - middle, np.ones(len(own))])
            places[own] = rows @ np.linalg.lstsq(rows[is_placed[own]], places[known], rcond=None)[0]
    return places


def _scale(sides: NDArray, padding: int, size: int) -> float:
    """By how much sides (c,) grow so that the squares, with the padding, fill USUAL_FILL of a texture: s of sum (s side + p)^2."""
    square, mixed = float((sides**2).sum()), padding * float(sides.sum())
    rest = USUAL_FILL * size**2 - len(sides) * padding**2
    return (np.sqrt(mixed**2 + square * max(rest, 1.0)) - mixed) / max(square, 1e-300)


def _in_rows(charts: Charts, size: int) -> tuple[NDArray, float]:
    """Places (k, 2) in texels of charts in rows, the highest first, and the side of the square that they fill.

    The scale is the largest for which the rows end within the square.
    """
    of_corner = np.zeros(len(charts.uvs), np.int64)
    of_corner[charts.faces] = charts.numbers[:, None]
    n_charts = int(of_corner.max(initial=-1)) + 1
    low, high = np.full((n_charts, 2), np.inf), np.full((n_charts, 2), -np.inf)
    np.minimum.at(low, of_corner, charts.uvs)
    np.maximum.at(high, of_corner, charts.uvs)
    sides, room = high - low, size - 2 * BORDER
    order = np.argsort(-sides[:, 1], kind="stable")
    # Bisection on the scale; at the lower end charts are points.
    least, most = 0.0, room / max(float(sides.max()), 1e-300)
    corners = _rows(sides * least, order, room)[0]
    for _ in range(30):
        scale = (least + most) / 2
        found, height = _rows(sides * scale, order, room)
        if height <= room:
            least, corners = scale, found
        else:
            most = scale
    return corners[of_corner] + (charts.uvs - low[of_corner]) * least, float(size)


def _rows(sides: NDArray, order: NDArray, room: float) -> tuple[NDArray, float]:
    """The upper left corners (c, 2) of rectangles laid in rows of width `room` in an order, and the height of all rows."""
    corners, x, y, row = np.zeros_like(sides), 0.0, 0.0, 0.0
    for number in order:
        width, height = sides[number]
        if x > 0 and x + width > room:
            x, y, row = 0.0, y + row + PADDING, 0.0
        corners[number] = x, y
        x, row = x + width + PADDING, max(row, height)
    return corners, y + row
