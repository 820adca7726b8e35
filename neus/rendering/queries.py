"""The signed distances and gradients of a model in bulk, without derivatives in its parameters, by what is fastest for it."""

from collections.abc import Callable

from torch import Tensor

from neus.kernels.dispatch import runs_compiled
from neus.rendering.fused import FusedModel, fused_sdf, why_not_fused
from neus.rendering.model import Model, in_chunks

# Points of one evaluation: the activations of wide networks for more of them would fill the memory of small GPUs.
CHUNK = 2**15


def is_fused(model: Model) -> bool:
    """Whether the fused kernels can evaluate a model where it is."""
    return not why_not_fused(model) and runs_compiled("fused_step", model.device)


def surface_functions(model: Model) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """What a mesh of a model is made of: points (M, 3) to signed distances (M,), and to gradients (M, 3), `Model.correction` included."""
    sdf, gradient, correction = fastest_sdf(model), in_chunks(model.gradient, CHUNK), model.correction
    if correction is None:
        return sdf, gradient
    return (
        lambda points: sdf(points) + correction(points),
        lambda points: gradient(points) + correction.gradient(points),
    )


def fastest_sdf(model: Model) -> Callable[[Tensor], Tensor]:
    """Points (M, 3) to signed distances (M,) of a model as it is now: the fused kernel where it can be used, else `model.sdf`.

    Both agree to the rounding of float32; the kernel takes half the time and holds no activations.
    """
    if not is_fused(model):
        return in_chunks(model.sdf, CHUNK)
    view = FusedModel.of(model)
    return lambda points: fused_sdf(model, points, view)
