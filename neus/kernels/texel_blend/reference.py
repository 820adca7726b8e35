"""The colours that one view gives to the texels of a texture, plainly: all texels at once."""

import numpy as np

# Catmull and Rom (1974): the cubic through four values whose slope is that of their neighbours.
_SLOPE = -0.5


def add_view(
    texels: np.ndarray,
    starts: np.ndarray,
    size: int,
    corners: np.ndarray,
    faces: np.ndarray,
    projected: np.ndarray,
    weights: np.ndarray,
    image: np.ndarray,
    levels: np.ndarray,
    depths: np.ndarray,
    clear: np.ndarray,
    tolerance: float,
    first: int,
    last: int,
    sums: np.ndarray,
) -> None:
    """Adds w c to sums[:, :3] and w to sums[:, 3] for the texels that a view sees, c its colour there and w its weight.

    A texel is the point of its face with the barycentric coordinates that its centre has in the texture, none below 0. It is seen where
    its depth z is at most (1 + tolerance) times the greatest of the four depths around its place in the view; the greatest, since the
    depth of a plane lies between those of the pixels around. Its weight is that of the face's corners, interpolated, times `clear` at the
    nearest pixel. Its colour is interpolated by cubics (Catmull and Rom 1974) between the levels of 4 x 4 pixels, not below 0.

    Args:
        texels: (p,) row * size + column, ordered by face.
        starts: (m + 1,) where the texels of each face begin.
        size: of the texture.
        corners: (m, 3, 2) float64 of the faces in the texture; the centre of the first texel is (0.5, 0.5).
        faces: (m, 3) their vertices.
        projected: (n, 3) float64 vertices as homogeneous pixels of the image, centres at +0.5; the third is the depth.
        weights: (n,) float32 of the view at the vertices, 0 or more.
        image: (H, W, 3) uint8.
        levels: (256, 3) float32, the colour that each number of each channel means.
        depths: (h, w) float32 of the foremost surface, of the whole view on a raster of any size; infinite for none.
        clear: (h, w) float32, how much of each pixel's weight counts.
        tolerance: fraction of the depth.
        first, last: the range of faces that are looked at.
        sums: (p, 4) float32, which is added to.
    """
    inside = np.arange(starts[first], starts[last])
    owner = np.repeat(np.arange(first, last), np.diff(starts[first : last + 1]))
    x, y = texels[inside] % size + 0.5, texels[inside] // size + 0.5
    a, b, c = (corners[owner, i] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    of_b = ((x - a[:, 0]) * (c[:, 1] - a[:, 1]) - (y - a[:, 1]) * (c[:, 0] - a[:, 0])) / area
    of_c = ((b[:, 0] - a[:, 0]) * (y - a[:, 1]) - (b[:, 1] - a[:, 1]) * (x - a[:, 0])) / area
    parts = np.maximum(np.stack([1.0 - of_b - of_c, of_b, of_c], axis=-1), 0.0)
    parts /= parts.sum(axis=1, keepdims=True)
    weight = (parts * weights[faces[owner]]).sum(axis=1)
    place = np.einsum("pi,pic->pc", parts, projected[faces[owner]])
    height, width = image.shape[:2]
    in_front = place[:, 2] > 0
    depth = np.where(in_front, place[:, 2], 1.0)
    u, v = place[:, 0] / depth, place[:, 1] / depth
    counts = in_front & (weight > 0) & (u >= 0) & (v >= 0) & (u < width) & (v < height)
    inside, weight, depth, u, v = (values[counts] for values in (inside, weight, depth, u, v))
    h, w = depths.shape
    s, t = u * (w / width), v * (h / height)
    weight = weight * clear[np.minimum(t.astype(int), h - 1), np.minimum(s.astype(int), w - 1)]
    column, row = np.floor(s - 0.5).astype(int), np.floor(t - 0.5).astype(int)
    around = [depths[np.clip(row + i, 0, h - 1), np.clip(column + j, 0, w - 1)] for i in (0, 1) for j in (0, 1)]
    counts = (weight > 0) & (depth <= np.max(around, axis=0) * (1.0 + tolerance))
    inside, weight, u, v = (values[counts] for values in (inside, weight, u, v))
    color = np.maximum(_cubic(levels, image, u - 0.5, v - 0.5), 0.0)
    sums[inside, :3] += weight[:, None] * color
    sums[inside, 3] += weight


def _cubic(levels: np.ndarray, image: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(p, 3) colours at places whose pixels have their centres at integers; beyond the border its pixels are repeated."""
    height, width = image.shape[:2]
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    of_columns, of_rows = _cubic_weights(x - column), _cubic_weights(y - row)
    total = np.zeros((len(x), 3))
    for i in range(4):
        for j in range(4):
            pixel = image[np.clip(row + i - 1, 0, height - 1), np.clip(column + j - 1, 0, width - 1)]
            total += (of_rows[i] * of_columns[j])[:, None] * levels[pixel, np.arange(3)]
    return total


def _cubic_weights(t: np.ndarray) -> list[np.ndarray]:
    """Of the values at -1, 0, 1 and 2 for a position t between 0 and 1."""
    return [
        _SLOPE * t * (1.0 - t) ** 2,
        1.0 + t * t * ((_SLOPE + 2.0) * t - (_SLOPE + 3.0)),
        t * (-_SLOPE + t * ((2.0 * _SLOPE + 3.0) - (_SLOPE + 2.0) * t)),
        _SLOPE * t * t * (1.0 - t),
    ]
