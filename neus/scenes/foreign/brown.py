"""Brown's lens polynomial, as most programs write it: which of the project's lens models it is."""

from collections.abc import Sequence

from neus.scenes.lens_models import BROWN, OPENCV


def brown_lens(
    radial: Sequence[float], tangential: Sequence[float] = (0.0, 0.0), skew: float = 0.0
) -> tuple[str, tuple[float, ...]]:
    """Model and coefficients, for `PosedImage`, of x (1 + k1 r^2 + ... + k4 r^8) + tangential terms.

    Args:
        radial: up to four of k1, k2, k3, k4, of r^2 to r^8.
        tangential: OpenCV's p1 and p2: 2 p1 x y + p2 (r^2 + 2 x^2) in x, p1 (r^2 + 2 y^2) + 2 p2 x y in y.
        skew: of K; with distortion only the general model has it.

    >>> brown_lens((0.1, 0.2)), brown_lens((0.0,)), brown_lens((0.1, 0.0, 0.0, 0.3))[0]
    (('OPENCV', (0.1, 0.2, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)), ('OPENCV', ()), 'BROWN')
    """
    k1, k2, k3, k4 = (*radial, *[0.0] * (4 - len(radial)))
    p1, p2 = tangential
    if not any((k1, k2, k3, k4, p1, p2)):
        return OPENCV, ()
    if k4 == 0.0 and skew == 0.0:
        return OPENCV, (k1, k2, p1, p2, k3, 0.0, 0.0, 0.0)
    return BROWN, (k1, k2, p1, p2, k3, k4)
