"""The optimiser: Adam, its learning rates set before each step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from neus.fields.hash_background import HashBackground
from neus.kernels.adam_rows.reference import MAX_ROW_STEPS
from neus.kernels.dispatch import kernels_for
from neus.rendering.model import Model

# For the table of a hash grid (Mueller et al. 2022, sec. 4): rows are touched rarely and their gradients are tiny.
TABLE_BETAS, TABLE_EPSILON = (0.9, 0.99), 1e-15
# Roles of groups that are tables.
TABLES = ("table", "color_table", "background_table")


class TableAdam(torch.optim.Adam):
    """Adam that, in groups with `TABLE_EPSILON`, moves only rows that have a gradient (see `kernels.adam_rows`).

    Groups, state and its dictionary are those of `torch.optim.Adam`, whose checkpoints it reads and which reads its own; beside them
    the state of a table holds `row_steps` (R,), the steps of each row. Where a checkpoint has none, rows with moments have taken
    all of its steps, the others none. A step leaves the gradients of tables zero, so after one `zero_grad` changes nothing for them
    but whether the memory is kept; a step that was given up (gradients not finite) needs it.
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
        moments = state["exp_avg"], state["exp_avg_sq"]
        if "row_steps" not in state:
            has_moments = (state["exp_avg_sq"] != 0.0).any(dim=1)
            state["row_steps"] = has_moments * state["step"].to(table.device).clamp_max(MAX_ROW_STEPS)
        # torch loads all state of a parameter in the type of the parameter.
        state["row_steps"] = state["row_steps"].to(torch.int16)
        state["step"] += 1
        kernels_for("adam_rows", table.device).adam_rows(
            table, table.grad, *moments, state["row_steps"], group["lr"], group["betas"], group["eps"]
        )


def build_optimizer(model: Model) -> torch.optim.Adam:
    """Adam over all parameters, its learning rates set before each step.

    A model of networks is one group in the order of published optimiser states, with torch's betas (0.9, 0.999). The parts of a hash
    model are groups of their own, named by `role`: `networks`, `sharpness`, `surface` (its layers), `table`, `color_table`, and of a
    hash background `background` (its layers) and `background_table`;
    all have `TABLE_BETAS`, since all of it is trained in a few thousand steps, and tables alone have `TABLE_EPSILON`.
    """
    if model.config.surface != "hash":
        return torch.optim.Adam([{"params": model.parameter_list(), "role": "networks"}], lr=0.0)
    surface = model.sdf_network
    parts = {
        "sharpness": [model.sharpness.variance],
        "surface": [*surface.hidden.parameters(), *surface.out.parameters()],
        "table": [surface.grid.table],
        "color_table": [surface.color_grid.table] if surface.color_grid is not None else [],
        **_background_parts(model),
    }
    apart = {id(parameter) for parameters in parts.values() for parameter in parameters}
    parts = {"networks": [p for p in model.parameter_list() if id(p) not in apart], **parts}
    groups = [{"params": parameters, "role": role} for role, parameters in parts.items() if parameters]
    for group in groups:
        if group["role"] in TABLES:
            group["eps"] = TABLE_EPSILON
    return TableAdam(groups, lr=0.0, betas=TABLE_BETAS)


def _background_parts(model: Model) -> dict[str, list[torch.nn.Parameter]]:
    background = model.nerf
    if not isinstance(background, HashBackground):
        return {}  # a NeRF is one of the networks, as in earlier checkpoints
    table = background.grid.table
    return {"background": [p for p in background.parameters() if p is not table], "background_table": [table]}


def set_learning_rates(optimizer: torch.optim.Optimizer, rates: dict[str, float]) -> None:
    """Makes the next step use the rate of each group's role; groups without one, as in published states, are `networks`."""
    for group in optimizer.param_groups:
        group["lr"] = rates[group.setdefault("role", "networks")]


def gradients_are_finite(optimizer: torch.optim.Optimizer) -> Tensor:
    """() bool: whether no gradient holds NaN or infinity; on the parameters' device, not yet read from it.

    Tables are left out: theirs are sums of what the layers above them got.
    """
    groups = [group for group in optimizer.param_groups if group.get("role") not in TABLES]
    gradients = [p.grad for group in groups for p in group["params"] if p.grad is not None]
    # The greatest element, not the sum of squares, which overflows while every element is still finite.
    norms = torch._foreach_norm(gradients, float("inf"))
    return torch.stack([n.float() for n in norms]).isfinite().all()
