"""Kernels alone against their floors: bytes moved over the bandwidth that the device reaches in a copy."""

from typing import Any

import torch
from gpu_timing import GIGA, against_floor, milliseconds

from neus.kernels.dispatch import kernels_for
from neus.kernels.hash_encode.layout import grid_layout

DEVICE = torch.device("cuda")
# Points, samples and rays of the kernels timed alone: those of some training steps, so that launches do not count.
N_POINTS, N_RAYS, N_INTERVALS = 2**18, 2**14, 64
MIB = 2**20


def measured_rates() -> dict[str, float]:
    """Gigabytes per second of a copy, and billions of operations per second of products in single precision, exact and TF32."""
    source = torch.empty(256 * MIB, device=DEVICE)
    target, matrix = torch.empty_like(source), torch.randn(8192, 8192, device=DEVICE)
    rates = {"copy_gb_per_s": 2 * source.nbytes / GIGA / (1e-3 * milliseconds(lambda: target.copy_(source)))}
    for name, allowed in (("float32", False), ("tf32", True)):
        torch.backends.cuda.matmul.allow_tf32 = allowed
        rates[f"{name}_gflop_per_s"] = 2 * 8192**3 / GIGA / (1e-3 * milliseconds(lambda: matrix @ matrix))
    torch.backends.cuda.matmul.allow_tf32 = False
    return rates


def kernel_times(rates: dict[str, float]) -> dict[str, Any]:
    """Each kernel alone, its bytes, and its time over the time in which the device copies so many."""
    layout, n_features = grid_layout(8, 16, 640, 18), 2
    new = torch.Generator(DEVICE).manual_seed(0)
    points = torch.rand(N_POINTS, 3, generator=new, device=DEVICE) * 2.0 - 1.0
    table = torch.randn(layout.n_rows, n_features, generator=new, device=DEVICE).requires_grad_()
    encode, composite = kernels_for("hash_encode", DEVICE), kernels_for("composite", DEVICE)
    adam, guided = kernels_for("adam_rows", DEVICE), kernels_for("guided_sampling", DEVICE)
    features, jacobian = encode.encode_with_jacobian(points, table, layout, layout.n_levels)
    cotangents = torch.randn_like(features), torch.randn_like(jacobian)
    alphas = torch.rand(N_RAYS, N_INTERVALS, generator=new, device=DEVICE)
    values = torch.rand(N_RAYS, N_INTERVALS, 3, generator=new, device=DEVICE)
    moments, gradient = [torch.zeros_like(table).detach() for _ in range(2)], torch.ones_like(table).detach()
    row_steps = torch.zeros(layout.n_rows, dtype=torch.int16, device=DEVICE)
    axis = torch.linspace(-1.0, 1.0, 128, device=DEVICE)
    ball = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij")).norm(dim=0) - 0.5
    origins = torch.tensor([0.0, 0.0, -2.0], device=DEVICE).expand(N_RAYS, 3).contiguous()
    targets = torch.rand(N_RAYS, 3, generator=new, device=DEVICE) - 0.5
    rays = origins, torch.nn.functional.normalize(targets - origins, dim=-1)
    ends, jitter = torch.ones(N_RAYS, device=DEVICE), torch.rand(N_RAYS, 17, generator=new, device=DEVICE)
    looked_up = N_POINTS * layout.n_levels * 8 * n_features * 4

    def step() -> None:
        gradient.fill_(1e-3)
        adam.adam_rows(table.detach(), gradient, *moments, row_steps, 1e-3, (0.9, 0.99), 1e-15)

    def vjp() -> None:
        torch.autograd.grad([features, jacobian], table, cotangents, retain_graph=True)

    with torch.no_grad():
        calls = {
            "encode": (lambda: encode.encode(points, table, layout, 8), points.nbytes + looked_up + features.nbytes),
            "encode with jacobian": (
                lambda: encode.encode_with_jacobian(points, table, layout, 8),
                points.nbytes + looked_up + features.nbytes + jacobian.nbytes,
            ),
            "composite": (lambda: composite.composite(alphas, values), 3 * alphas.nbytes + values.nbytes),
            "adam on all rows": (step, 9 * table.nbytes),
        }
        found = {name: (milliseconds(call), n_bytes) for name, (call, n_bytes) in calls.items()}
        placed = milliseconds(lambda: guided.guided_intervals(*rays, ends, 3 * ends, ball, 200.0, 0.2, jitter))
    # Adding to memory reads and writes it.
    found["table gradient"] = (
        milliseconds(vjp),
        points.nbytes + 2 * looked_up + features.nbytes + jacobian.nbytes + table.nbytes,
    )
    table_of = {name: against_floor(ms, n_bytes, rates["copy_gb_per_s"]) for name, (ms, n_bytes) in found.items()}
    # How many steps rays take is not known beforehand, so there is no floor.
    return table_of | {"guided sampling": {"ms": placed, "rays": N_RAYS}}
