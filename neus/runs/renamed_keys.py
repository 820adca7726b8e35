"""Config keys of earlier versions of this project, read under their present names."""

import warnings
from typing import Any

from neus.errors import InputWarning

# Present name by former name, below `train`.
GUIDED_SAMPLING = "march", "guided_sampling"
RENAMED = {
    "n_sections": "n_intervals",
    "n_sections_start": "n_intervals_start",
    "uniform_share": "uniform_fraction",
    "uniform_share_start": "uniform_fraction_start",
    "wide_until": "wide_sampling_until",
    "inside_share": "inside_fraction",
    "near_share": "near_fraction",
    "growth": "batch_growth",
    "growth_at": "batch_growth_at",
    "first_shape": "initial_shape",
    "anchor_weight": "prior_weight",
    "anchor_until": "prior_until",
}


def with_present_keys(content: dict[str, Any], source: str = "") -> dict[str, Any]:
    """The same config with former keys replaced by their present names.

    Args:
        content: sections of a config as nested dictionaries; not changed.
        source: named in the warning that lists the replaced keys; empty for none, as for checkpoints.

    >>> with_present_keys({"train": {"march": {"n_sections": 8}}})
    {'train': {'guided_sampling': {'n_intervals': 8}}}
    """
    former, present = GUIDED_SAMPLING
    train = content.get("train")
    if not isinstance(train, dict) or not isinstance(train.get(former), dict):
        return content
    replaced = {RENAMED.get(key, key): value for key, value in train[former].items()}
    given = train.get(present, {})
    section = {**replaced, **given} if isinstance(given, dict) else given
    rest = {key: value for key, value in train.items() if key not in (former, present)}
    if source:
        changes = ", ".join(
            f"train.{former}.{key} is now train.{present}.{RENAMED.get(key, key)}" for key in train[former]
        )
        warnings.warn(InputWarning(f"{source}: {changes}."), stacklevel=3)
    return {**content, "train": {**rest, present: section}}
