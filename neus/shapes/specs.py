"""`specs.json` of a DeepSDF experiment: network, data, rates. Ours hold a few keys more, which the published program ignores."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from neus.errors import InputError
from neus.fields.latent_sdf import LatentSdfConfig
from neus.files import read_text

# What the published program takes where a key is absent.
DEFAULTS: dict[str, Any] = {
    "Description": "", "DataSource": "data", "TrainSplit": "", "TestSplit": "", "NetworkArch": "deep_sdf_decoder",
    "NumEpochs": 2001, "SnapshotFrequency": 1000, "AdditionalSnapshots": [100, 500], "SamplesPerScene": 16384, "ScenesPerBatch": 64,
    "ClampingDistance": 0.1, "CodeRegularization": True, "CodeRegularizationLambda": 1e-4, "CodeBound": None, "CodeInitStdDev": 1.0,
    "GradientClipNorm": None, "LogFrequency": 10, "SphereStart": False, "UnclampWrongSign": False, "Seed": 0, "Up": "z",
}  # fmt: skip
# Learning rates of weights and of codes where a file names none: those of the published examples.
STEP_RATES = [
    {"Type": "Step", "Initial": 5e-4, "Interval": 500, "Factor": 0.5},
    {"Type": "Step", "Initial": 1e-3, "Interval": 500, "Factor": 0.5},
]
NETWORK_KEYS = {
    "dims": [512] * 8, "latent_in": [], "norm_layers": [], "weight_norm": False, "xyz_in_all": False, "use_tanh": False, "dropout": [],
    "dropout_prob": 0.0, "latent_dropout": False, "softplus_beta": 0.0,
}  # fmt: skip
SCHEDULE_KEYS = {
    "Step": ("Initial", "Interval", "Factor"),
    "Warmup": ("Initial", "Final", "Length"),
    "Constant": ("Value",),
    "Cosine": ("Initial", "Final"),
}


@dataclass(frozen=True)
class Specs:
    """The content of `specs.json`, checked.

    Attributes:
        network: the decoder's shape.
        content: all keys, absent ones at their defaults, those of other programs as they were.
        source: the file, for messages.
    """

    network: LatentSdfConfig
    content: dict[str, Any]
    source: Path | None = None

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    @property
    def truncation(self) -> float:
        """d, beyond which distances are clamped."""
        return float(self.content["ClampingDistance"])

    def rates(self, epoch: float, progress: float) -> tuple[float, float]:
        """Learning rates of weights and codes in an epoch (from 1), at a progress in [0, 1] of the whole training."""
        weights, codes = (learning_rate(schedule, epoch, progress) for schedule in self.content["LearningRateSchedule"])
        return weights, codes

    def with_keys(self, **keys: Any) -> "Specs":
        """The same with other values of some keys."""
        return replace(self, content={**self.content, **keys})


def learning_rate(schedule: dict[str, Any], epoch: float, progress: float) -> float:
    """The rate of a schedule: Step, Warmup and Constant go by the epoch as published, Cosine by the progress.

    >>> learning_rate({"Type": "Step", "Initial": 1.0, "Interval": 10, "Factor": 0.5}, 25, 0.0)
    0.25
    >>> learning_rate({"Type": "Cosine", "Initial": 1.0, "Final": 0.0}, 1, 0.5)
    0.5
    """
    kind = schedule["Type"]
    if kind == "Step":
        return schedule["Initial"] * schedule["Factor"] ** (epoch // schedule["Interval"])
    if kind == "Warmup":
        fraction = min(1.0, epoch / schedule["Length"])
        return schedule["Initial"] + (schedule["Final"] - schedule["Initial"]) * fraction
    if kind == "Cosine":
        return schedule["Final"] + (schedule["Initial"] - schedule["Final"]) * 0.5 * (1.0 + math.cos(math.pi * progress))
    return schedule["Value"]


def read_specs(path: Path) -> Specs:
    """The specs in an experiment folder or a file.

    Raises:
        InputError: missing, no JSON, or a key of the wrong kind.
    """
    path = Path(path) / "specs.json" if Path(path).is_dir() else Path(path)
    text = read_text(path, "give an experiment folder with specs.json in it")
    try:
        content = json.loads(text)
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error}); export it again.") from error
    return specs_of(content, path)


def specs_of(content: Any, source: Path | None = None) -> Specs:
    """Specs from the content of a file; raises as `read_specs`."""
    where = source or "specs"
    if not isinstance(content, dict) or not isinstance(content.get("NetworkSpecs"), dict):
        raise InputError(f"{where}: has no NetworkSpecs, expected the specs.json of a DeepSDF experiment.")
    if content.get("NetworkArch", "deep_sdf_decoder") != "deep_sdf_decoder":
        raise InputError(f"{where}: NetworkArch is {content['NetworkArch']!r}, expected deep_sdf_decoder, the only one known.")
    length = content.get("CodeLength")
    if not isinstance(length, int) or length < 0:
        raise InputError(f"{where}: CodeLength is {length!r}, expected a whole number of at least 0.")
    filled = {**DEFAULTS, "LearningRateSchedule": STEP_RATES, **content}
    for key in ("ClampingDistance", "SamplesPerScene", "ScenesPerBatch", "NumEpochs", "CodeInitStdDev"):
        if not isinstance(filled[key], int | float) or isinstance(filled[key], bool) or not filled[key] > 0:
            raise InputError(f"{where}: {key} is {filled[key]!r}, expected a number above 0.")
    if filled["Up"] not in ("y", "z"):
        raise InputError(f"{where}: Up is {filled['Up']!r}, expected y or z: the axis that points up in images.")
    _check_schedules(filled["LearningRateSchedule"], where)
    return Specs(_network_of(content["NetworkSpecs"], length, where), filled, source)


def _check_schedules(schedules: Any, where: object) -> None:
    if not isinstance(schedules, list) or len(schedules) != 2:
        raise InputError(f"{where}: LearningRateSchedule holds {len(schedules) if isinstance(schedules, list) else 'no list'}, "
                         "expected two schedules, of weights and of codes.")  # fmt: skip
    for schedule in schedules:
        kind = schedule.get("Type") if isinstance(schedule, dict) else None
        if kind not in SCHEDULE_KEYS:
            raise InputError(f"{where}: a learning rate of type {kind!r}, expected one of {', '.join(SCHEDULE_KEYS)}.")
        for key in SCHEDULE_KEYS[kind]:
            value = schedule.get(key)
            if not isinstance(value, int | float) or value < 0 or (key in ("Interval", "Length") and value == 0):
                raise InputError(f"{where}: a learning rate of type {kind} has {key} = {value!r}, expected a number above 0.")


def _network_of(network: dict[str, Any], length: int, where: object) -> LatentSdfConfig:
    values = {key: network.get(key, default) for key, default in NETWORK_KEYS.items()}
    if network.get("geom_dimension", 3) != 3:
        raise InputError(f"{where}: geom_dimension is {network['geom_dimension']}, expected 3.")
    for key, default in NETWORK_KEYS.items():
        if isinstance(default, list):
            numbers = values[key] if values[key] is not None else []
            if not isinstance(numbers, list) or not all(isinstance(number, int) for number in numbers):
                raise InputError(f"{where}: NetworkSpecs has {key} = {values[key]!r}, expected a list of whole numbers.")
            values[key] = tuple(numbers)
    config = LatentSdfConfig(code_length=length, **values)
    if not config.dims or min(out for _, out in config.sizes) < 1:
        raise InputError(f"{where}: dims {list(config.dims)} leave a layer no width beside code and point ({length} + 3).")
    return config


def specs_content(config: LatentSdfConfig, **keys: Any) -> dict[str, Any]:
    """The content of a `specs.json` for a network, with other keys as given."""
    network = {key: list(v) if isinstance(v := getattr(config, key), tuple) else v for key in NETWORK_KEYS}
    return {**DEFAULTS, "LearningRateSchedule": STEP_RATES, **keys, "NetworkSpecs": network, "CodeLength": config.code_length}
