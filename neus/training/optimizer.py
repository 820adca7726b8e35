"""The optimiser: Adam, its learning rates set before each step."""

from collections.abc import Callable
from typing import Any

import torch

from neus.kernels.dispatch import kernels_for
from neus.rendering.model import Model

# For the table of a hash grid (Mueller et al. 2022, sec. 4): rows are touched rarely and their gradients are tiny.
TABLE_BETAS, TABLE_EPSILON = (0.9, 0.99), 1e-15


class TableAdam(torch.optim.Adam):
    """Adam that, in groups with `TABLE_EPSILON`, moves only rows that have a gradient (see `kernels.adam_rows`).

    Groups, state and its dictionary are those of `torch.optim.Adam`, whose checkpoints it reads and which reads its own. A step
    leaves the gradients of tables zero, so after one `zero_grad` changes nothing for them but whether the memory is kept; a step
    that was given up (gradients not finite) needs it.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step on all parameters with a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        tables = [
            (table, group)
            for group in self.param_groups
            for table in group["params"]
            if group["eps"] == TABLE_EPSILON and table.grad is not None
        ]
        gradients = [table.grad for table, _ in tables]
        for table, _ in tables:
            table.grad = None  # which torch's Adam passes over
        super().step()
        for (table, group), gradient in zip(tables, gradients, strict=True):
            table.grad = gradient
            self._step_on_rows(table, group)
        return loss

    def _step_on_rows(self, table: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[table]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(table), torch.zeros_like(table)
        state["step"] += 1
        moments = state["exp_avg"], state["exp_avg_sq"]
        kernels_for("adam_rows", table.device).adam_rows(
            table, table.grad, *moments, group["lr"], group["betas"], group["eps"], int(state["step"])
        )


def build_optimizer(model: Model, learning_rate: float, learning_rate_table: float | None = None) -> torch.optim.Adam:
    """Adam with torch's default moments over all parameters, in the order of published optimiser states.

    The table of a hash surface is a second group, with its own learning rate (that of the others if None), moments and epsilon.
    """
    parameters = model.parameter_list()
    if model.config.surface != "hash":
        return torch.optim.Adam(parameters, lr=learning_rate)
    table = model.sdf_network.grid.table
    others = {"params": [p for p in parameters if p is not table]}
    rate = learning_rate if learning_rate_table is None else learning_rate_table
    of_table = {"params": [table], "lr": rate, "betas": TABLE_BETAS, "eps": TABLE_EPSILON}
    return TableAdam([others, of_table], lr=learning_rate)


def set_learning_rate(
    optimizer: torch.optim.Optimizer, learning_rate: float, learning_rate_table: float | None = None
) -> None:
    """Makes the next step use `learning_rate`, and `learning_rate_table`, if given, for the table of a hash surface."""
    for group in optimizer.param_groups:
        is_table = group["eps"] == TABLE_EPSILON
        group["lr"] = learning_rate_table if is_table and learning_rate_table is not None else learning_rate


def gradients_are_finite(optimizer: torch.optim.Optimizer) -> bool:
    """Whether no gradient holds NaN or infinity."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    # The greatest element, not the sum of squares, which overflows while every element is still finite.
    norms = torch._foreach_norm(gradients, float("inf"))
    return bool(torch.stack([n.float() for n in norms]).isfinite().all())
