"""Logistic opacities for compiled loops on a CPU, of one interval each; see `reference`. In single and double precision."""

import math

from neus.kernels.jit import inlined
from neus.kernels.logistic.reference import LEAST_SLOPE

# Phi(-x) beyond it is less than the rounding of a sum close to one: the exponentials are not worth taking.
NO_WEIGHT_FROM = 36.0


@inlined
def phi(x: float) -> float:
    """The logistic sigmoid."""
    one = type(x)(1)
    return one / (one + math.exp(-x))


@inlined
def alpha(at_start: float, at_end: float, epsilon: float) -> float:
    """`reference.alpha` from Phi(s f) at both ends."""
    number = type(at_start)
    ratio = (at_start - at_end + epsilon) / (at_start + epsilon)
    return min(max(ratio, number(0)), number(1))


@inlined
def alpha_vjp(at_start: float, at_end: float, epsilon: float, by_alpha: float) -> tuple[float, float]:
    """Derivatives in s f_start and s f_end, given that in alpha; zero where alpha is clamped."""
    number = type(at_start)
    zero, one = number(0), number(1)
    per_start = one / (at_start + epsilon)
    ratio = (at_start - at_end + epsilon) * per_start
    if not zero <= ratio <= one:
        return zero, zero
    by_start = by_alpha * at_end * per_start * per_start * at_start * (one - at_start)
    return by_start, -by_alpha * per_start * at_end * (one - at_end)


@inlined
def exact_alpha(sdf_start: float, sdf_end: float, sharpness: float) -> float:
    """`reference.exact_alpha` of one interval."""
    number = type(sdf_start)
    at_end, one = sharpness * sdf_end, number(1)
    if not sdf_end < sdf_start or at_end > NO_WEIGHT_FROM:
        return number(0)
    # The exponential of what is negative, on either side of the surface.
    decay = math.exp(-abs(at_end))
    behind = (one if at_end <= 0 else decay) / (one + decay)
    return -math.expm1(sharpness * (sdf_end - sdf_start)) * behind


@inlined
def color_slope(y: float, grad: float) -> float:
    """`reference.color_slope` of one number."""
    number = type(y)
    least, zero = number(LEAST_SLOPE), number(0)
    slope = y * (number(1) - y)
    if slope >= least:
        return slope
    return least if (grad < zero) == (y < number(0.5)) else zero
