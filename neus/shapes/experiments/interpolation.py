"""Between two codes: is every step a shape of the family? And do codes tell the parameters?"""

from pathlib import Path

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from neus.errors import InputError
from neus.meshing.clean import without_floaters
from neus.meshing.measures import is_closed, piece_of_vertex, signed_volume
from neus.shapes.data_folder import shape_facts
from neus.shapes.experiments.result import Check, ExperimentResult, Panel, Progress, mesh_or_none, short, tell
from neus.shapes.families import FAMILIES, free_parameters
from neus.shapes.prior import Prior

STEPS, RESOLUTION = 7, 80
# A step back of a monotone quantity counts if it is more than this part of its range over the family.
SLACK = 0.05
# Ridge of the regression of parameters on whitened codes, per shape.
RIDGE = 1e-3
SHOWN = 4


def interpolation(prior: Prior, data: Path, n: int = 20, seed: int = 0, on_progress: Progress | None = None) -> ExperimentResult:
    """Pairs of training shapes of one family, seven steps each; the parameters of each step by linear regression on codes."""
    facts, generator, rows, panels = shape_facts(data), np.random.default_rng(seed), [], []
    groups = by_family(prior, facts)
    regressions = {family: Regression(prior, numbers, facts) for family, numbers in groups.items()}
    volumes = {family: _volume_range(prior, numbers) for family, numbers in groups.items()}
    families = [family for family in groups for _ in range(n)][:: len(groups)][:n]
    for k, family in enumerate(families):
        first, second = generator.choice(groups[family], 2, replace=False)
        codes = [torch.lerp(prior.codes[first], prior.codes[second], part) for part in np.linspace(0.0, 1.0, STEPS).tolist()]
        meshes = [_kept(prior, code) for code in codes]
        found = [mesh for mesh in meshes if mesh is not None]
        volume = np.array([abs(signed_volume(mesh)) for mesh in found])
        parameters = np.stack([regressions[family].predict(code) for code in codes])
        rows.append({
            "pair": f"{short(prior.names[first])}, {short(prior.names[second])}",
            "one closed piece": sum(is_closed(m) and piece_of_vertex(m).max() == 0 for m in found) / STEPS,
            "volume monotone": is_monotone(volume, volumes[family]),
            "parameters monotone": float(np.mean([is_monotone(p, 1.0) for p in parameters.T])),
        })  # fmt: skip
        if len(panels) < SHOWN:
            panels.append([Panel(mesh, [f"{100 * j / (STEPS - 1):.0f} %"]) for j, mesh in enumerate(meshes)])
        tell(on_progress, k + 1, n)
    result = ExperimentResult("interpolation", "Are steps between two codes members of the family?", rows, panels=panels)
    for key in ("one closed piece", "volume monotone", "parameters monotone"):
        result.checks.append(Check(key, float(np.mean([float(row[key]) for row in rows])), 1.0, False))
    for family, regression in regressions.items():
        for name, r2 in zip(regression.names, regression.leave_one_out, strict=True):
            result.checks.append(Check(f"R^2 of code to {family}'s {name}, leave one out", float(r2), 0.9, False))
    return result


class Regression:
    """Linear regression of a family's parameters (as parts of their ranges) on whitened codes.

    Attributes:
        names: of the parameters.
        leave_one_out: (p,) R^2 of each, every shape predicted by the others.
    """

    def __init__(self, prior: Prior, numbers: list[int], facts: dict) -> None:
        family = facts[prior.names[numbers[0]]]["family"]
        self.names, ranges = free_parameters(family), FAMILIES[family].ranges
        self._prior = prior
        low, high = (np.array([ranges[name][side] for name in self.names]) for side in (0, 1))
        values = np.array([[facts[prior.names[i]]["parameters"][name] for name in self.names] for i in numbers])
        design = np.stack([self._features(prior.codes[i]) for i in numbers])
        truth = (values - low) / (high - low)
        gram = design.T @ design + RIDGE * len(numbers) * np.diag([0.0] + [1.0] * (design.shape[1] - 1))
        inverse = np.linalg.inv(gram)
        self._solution = inverse @ design.T @ truth
        # Errors of the fits without each shape, from those of one fit with all (Allen 1974).
        leverage = np.einsum("ni,ij,nj->n", design, inverse, design)
        errors = (truth - design @ self._solution) / np.maximum(1.0 - leverage, 1e-6)[:, None]
        self.leave_one_out = 1.0 - np.square(errors).mean(axis=0) / truth.var(axis=0)

    def predict(self, code: torch.Tensor) -> NDArray:
        """(p,) parameters of a code, 0 to 1 over their ranges."""
        return self._features(code) @ self._solution

    def _features(self, code: torch.Tensor) -> NDArray:
        w = torch.linalg.solve(self._prior.spread.double(), (code - self._prior.mean_code).double()).numpy()
        return np.concatenate([[1.0], w])


def by_family(prior: Prior, facts: dict) -> dict[str, list[int]]:
    """Numbers of the training shapes of each family; raises InputError where parameters are not known."""
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(prior.names):
        if "family" in facts.get(name, {}):
            groups.setdefault(facts[name]["family"], []).append(i)
    groups = {family: numbers for family, numbers in groups.items() if len(numbers) > 2}
    if not groups:
        raise InputError(f"{prior.folder}: the parameters of its shapes are not known; this experiment takes data of --family.")
    return groups


def is_monotone(values: NDArray, span: float) -> bool:
    """Whether values (n,) run one way, but for steps back of at most 5 % of a span.

    >>> is_monotone(np.array([0.0, 0.5, 0.48, 1.0]), 1.0), is_monotone(np.array([0.0, 0.5, 0.3, 1.0]), 1.0)
    (True, False)
    """
    steps = np.diff(values) * (1.0 if values[-1] >= values[0] else -1.0)
    return bool((steps >= -SLACK * span).all())


def _volume_range(prior: Prior, numbers: list[int]) -> float:
    volumes = [abs(signed_volume(mesh)) for i in numbers[:12] if (mesh := _kept(prior, prior.codes[i], 48)) is not None]
    return max(volumes) - min(volumes) if volumes else 1.0


def _kept(prior: Prior, code: torch.Tensor, resolution: int = RESOLUTION) -> trimesh.Trimesh | None:
    """The shape of a code without crumbs; None where it has no surface."""
    mesh = mesh_or_none(prior.field(code), resolution)
    return None if mesh is None else without_floaters(mesh)
