"""What a report shows of a run, as its page and the comparison of two runs take it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from trimesh import Trimesh

from neus.meshing.measures import MeshFacts
from neus.reports.contact_sheet import SheetView
from neus.runs.config import ExperimentConfig


@dataclass(frozen=True)
class MeshShown:
    """A mesh (world units) as a report shows it: its measures, its six sides, and where it comes from.

    Attributes:
        seen: what `SeenFacts` says, and what became of the rest (`unseen`); None if it is not known.
    """

    mesh: Trimesh
    facts: MeshFacts
    sides: dict[str, NDArray]
    origin: str
    seen: dict[str, Any] | None = None


@dataclass(frozen=True)
class RunGathered:
    """All that a report says of a run.

    Attributes:
        folder, facts, config: the run's folder, `run.json` and settings.
        iteration: of the newest checkpoint.
        sessions: calls of `train`, oldest first; none for a run that did not note them.
        metrics: lines of `metrics.jsonl`.
        evaluation: `evaluation.json`, if it is of the newest checkpoint.
        views: some views, rendered; held-out ones if there are any.
        mesh: None if there is none, and `no_mesh` says why.
        world_per_scene: world units in one scene unit.
        seconds: what the making of this took.
    """

    folder: Path
    facts: dict[str, Any]
    config: ExperimentConfig
    iteration: int
    sessions: list[dict[str, Any]]
    metrics: list[dict[str, float]]
    evaluation: dict[str, Any] | None
    views: list[SheetView]
    mesh: MeshShown | None
    no_mesh: str
    world_per_scene: float
    seconds: float
