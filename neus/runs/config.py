"""Configs: HOCON files with NeuS's sections and keys, to checked dataclasses and back."""

import difflib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pyhocon import ConfigFactory, ConfigTree, HOCONConverter
from pyhocon.exceptions import ConfigException
from pyparsing import ParseBaseException

from neus.errors import InputError
from neus.fields.hash_grid import HashGridConfig
from neus.files import read_text
from neus.rendering.model import ModelConfig
from neus.runs.presets import confs_folder, found_conf
from neus.runs.renamed_keys import with_present_keys
from neus.runs.typed_sections import section_from_dict
from neus.scenes.readers import DatasetConfig
from neus.training.config import TrainConfig

# The placeholder in old configs for the name of the scene.
CASE_PLACEHOLDER = "CASE_NAME"
# As pyhocon finds them: in any case, with or without a blank, after anything but a letter, digit or underscore.
_INCLUDE_PATTERN = r'(?<![a-z0-9_])include\s*(?:required\s*\(\s*)?(?:(file|url|package|classpath)\s*\(\s*)?"([^"]+)"'
_INCLUDE = re.compile(_INCLUDE_PATTERN, re.IGNORECASE | re.ASCII)
_STRING_OR_INCLUDE = re.compile(rf'"""(?:(?!""").|\n)*"""|"(?:[^"\\\n]|\\.)*"|{_INCLUDE_PATTERN}', re.IGNORECASE | re.ASCII)
_COMMENT = re.compile(r"^\s*(?:#|//).*$", re.MULTILINE)
_QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"')


@dataclass(frozen=True)
class GeneralConfig:
    """Config section `general`.

    Attributes:
        base_exp_dir: run folder of NeuS's own command line.
        recording: kept for old configs; what is recorded now is the config and the versions.
    """

    base_exp_dir: str = "./exp/CASE_NAME"
    recording: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExperimentConfig:
    """A whole conf."""

    general: GeneralConfig = field(default_factory=GeneralConfig)
    dataset: DatasetConfig = field(default_factory=DatasetConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    model: ModelConfig = field(default_factory=ModelConfig)


def read_config(path: Path | None, overrides: list[str] = (), case: str = "") -> ExperimentConfig:
    """The config in a HOCON file, checked.

    Args:
        path: the file, or the bare name of a shipped config; `include "other.conf"` in it is relative to its folder. None for the
            defaults.
        overrides: `section.key=value` each, as given to `--set`; later ones win.
        case: replaces CASE_NAME everywhere.

    Raises:
        InputError: missing, malformed, a key that is unknown (the nearest known one is named), a value of the wrong
            type or out of range.
    """
    tree = ConfigTree() if path is None else _tree_of(found_conf(Path(path)))
    content = with_present_keys(tree.as_plain_ordered_dict(), str(path))
    tree = _with_overrides(ConfigFactory.from_dict(content), overrides)
    return config_from_dict(_with_case(tree.as_plain_ordered_dict(), case), str(path or "--set"))


def _with_overrides(tree: ConfigTree, overrides: Sequence[str]) -> ConfigTree:
    for override in overrides:
        source = f"--set {override}"
        change = with_present_keys(_parsed_override(override).as_plain_ordered_dict(), source)
        section_from_dict(ExperimentConfig, change, source, ())
        tree = ConfigTree.merge_configs(tree, ConfigFactory.from_dict(change))
    return tree


def _tree_of(path: Path) -> ConfigTree:
    if not path.is_file():
        shipped = sorted(p.name for p in confs_folder().glob("*.conf"))
        beside = {p.name: p for p in path.parent.glob("*.conf")}
        near = difflib.get_close_matches(path.name, [*beside, *shipped], 1, cutoff=0.75)
        hint = f"Did you mean {beside.get(near[0], near[0])}?" if near else f"Shipped configs: {', '.join(shipped)}."
        raise InputError(f"{path}: no such config file. {hint}")
    try:
        text = read_text(path)
        _check_closed(text, str(path))
        _check_includes(path, text, (path.resolve(),))
        tree = ConfigFactory.parse_string(text, basedir=str(path.parent.resolve()))
    except (ConfigException, ParseBaseException, UnicodeDecodeError, OSError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: malformed config ({reason[:120]}); expected HOCON, as in the shipped wmask.conf."
        ) from error
    if not isinstance(tree, ConfigTree):
        raise InputError(f"{path}: a list, expected sections as in the shipped wmask.conf.")
    return tree


def config_from_dict(content: dict[str, Any], source: str) -> ExperimentConfig:
    """The checked config in a plain dictionary; `source` is named in errors. Inverse of `config_as_dict`."""
    content = with_present_keys(content)
    config = _with_near_far(section_from_dict(ExperimentConfig, content, source, ()), content)
    _check_together(config, source)
    return config


def _with_near_far(config: ExperimentConfig, content: dict[str, Any]) -> ExperimentConfig:
    """Grid-guided training samples within the unit sphere: so do configs and checkpoints that do not say, as earlier ones."""
    given = content.get("model", {}).get("neus_renderer", {})
    if config.train.guided_sampling.n_intervals == 0 or any(key.strip('"') == "near_far" for key in given):
        return config
    renderer = replace(config.model.neus_renderer, near_far="sphere")
    return replace(config, model=replace(config.model, neus_renderer=renderer))


def overridden(config: ExperimentConfig, overrides: Sequence[str]) -> ExperimentConfig:
    """The config changed by `section.key=value` each, as given to `--set`. Raises as `read_config`."""
    tree = _with_overrides(ConfigFactory.from_dict(config_as_dict(config)), overrides)
    return config_from_dict(tree.as_plain_ordered_dict(), "--set") if overrides else config


def config_text(config: ExperimentConfig) -> str:
    """The config as HOCON, every key written out."""
    return HOCONConverter.to_hocon(ConfigFactory.from_dict(config_as_dict(config))) + "\n"


def _check_includes(path: Path, text: str, within: tuple[Path, ...]) -> None:
    """InputError for an included config that is not there, which pyhocon would pass over, or that includes itself."""
    for kind, name in _includes_in(text):
        if not _is_file_name(kind, name):
            raise InputError(f'{path}: include {kind or ""} "{name}": only files are included, by name; save it beside {path.name}.')
        included = (path.parent / name).resolve()
        if included in within:
            raise InputError(f'{path}: include "{name}" leads back to itself; remove one of the includes.')
        if not included.is_file():
            raise InputError(
                f'{path}: include "{name}": no such file; the name is taken from the folder of {path.name}.'
            )
        inner = read_text(included)
        _check_closed(inner, str(included))
        _check_includes(included, inner, (*within, included))


def _includes_in(text: str) -> list[tuple[str, str]]:
    """Kind and name of each include: those outside of quotes, and whatever looks like one of more than a file.

    Where a quoted text ends is for pyhocon to say, and which line within three quotes is no comment; no server may be asked for it.
    """
    text = text if '"""' in text else _COMMENT.sub("", text)
    outside = [(found[1] or "", found[2]) for found in _STRING_OR_INCLUDE.finditer(text) if found[2]]
    return outside + [found for found in _INCLUDE.findall(text) if not _is_file_name(*found)]


def _is_file_name(kind: str, name: str) -> bool:
    return kind.lower() in ("", "file") and not any(mark in name for mark in ("://", "*", "?"))


def _check_closed(text: str, source: str) -> None:
    """InputError for `${...}`, which would be replaced by the environment: a config must mean the same on every machine."""
    if "${" in _QUOTED.sub("", _COMMENT.sub("", text)):
        raise InputError(f"{source}: ${{...}} is not replaced in configs; write the value, or put it in quotes if it is meant so.")


def _with_case(value: Any, case: str) -> Any:
    """The same settings with CASE_NAME replaced in every text, those of included files as well."""
    if isinstance(value, dict):
        return {key: _with_case(v, case) for key, v in value.items()}
    if isinstance(value, list):
        return [_with_case(v, case) for v in value]
    return value.replace(CASE_PLACEHOLDER, case) if case and isinstance(value, str) else value


def _parsed_override(text: str) -> ConfigTree:
    key, equals, value = text.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise InputError(f"--set {text}: expected section.key=value, for example --set train.end_iter=2000.")
    _check_closed(value, f"--set {text}")
    if _includes_in(value):
        raise InputError(f"--set {text}: only files are included, in configs; name the settings one by one.")
    try:
        return ConfigFactory.parse_string(f"{key.strip()} = {value.strip()}")
    except (ConfigException, ParseBaseException) as error:
        raise InputError(f"--set {text}: not a HOCON value; quote text, write lists as [1, 2].") from error


def _check_grid(grid: HashGridConfig, place: str, fewest_levels: int) -> None:
    if grid.n_levels < fewest_levels:
        raise InputError(f"{place}.n_levels = {grid.n_levels}, expected at least {fewest_levels}.")
    if grid.finest_resolution < grid.base_resolution:
        raise InputError(
            f"{place}.finest_resolution = {grid.finest_resolution}, expected at least "
            f"base_resolution = {grid.base_resolution}."
        )


def _check_together(config: ExperimentConfig, source: str) -> None:
    """Settings that only make sense with each other."""
    model = config.model
    sdf, color, renderer = model.sdf_network, model.rendering_network, model.neus_renderer
    is_hash = model.surface == "hash"
    section, n_features = ("hash_sdf", model.hash_sdf.n_features) if is_hash else ("sdf_network", sdf.d_out - 1)
    if n_features != color.d_feature:
        raise InputError(
            f"{source}: model.{section} gives {n_features} features (d_out - 1{' and those of color_grid' if is_hash else ''}), "
            f"model.rendering_network.d_feature expects {color.d_feature}; make d_feature {n_features}."
        )
    d_in = 9 if color.mode == "idr" else 6
    if color.d_in != d_in:
        raise InputError(f"{source}: model.rendering_network.d_in = {color.d_in}, mode {color.mode} takes {d_in}.")
    fixed = [("sdf_network.d_in", sdf.d_in, 3), ("rendering_network.d_out", color.d_out, 3)]
    fixed += [
        ("nerf.d_in", model.nerf.d_in, 4),
        ("nerf.d_in_view", model.nerf.d_in_view, 3),
        ("nerf.use_viewdirs", model.nerf.use_viewdirs, True),
    ]
    for place, found, expected in fixed:
        if found != expected:
            raise InputError(f"{source}: model.{place} = {found}, expected {expected}.")
    _check_grid(model.hash_sdf.grid, f"{source}: model.hash_sdf.grid", 1)
    _check_grid(model.hash_sdf.color_grid, f"{source}: model.hash_sdf.color_grid", 0)
    n_encoded = sdf.d_in * (1 + 2 * sdf.multires)
    for layer in sdf.skip_in:
        if not 0 < layer < sdf.n_layers or sdf.d_hidden <= n_encoded:
            raise InputError(
                f"{source}: model.sdf_network.skip_in = {list(sdf.skip_in)} needs layers 1 to {sdf.n_layers - 1} "
                f"and d_hidden above {n_encoded}, found {sdf.d_hidden}."
            )
    if model.nerf.D - 1 in model.nerf.skips:
        raise InputError(
            f"{source}: model.nerf.skips = {list(model.nerf.skips)}: no layer follows layer {model.nerf.D - 1}; make D larger."
        )
    if renderer.n_importance % renderer.up_sample_steps:
        raise InputError(
            f"{source}: model.neus_renderer.n_importance = {renderer.n_importance} does not divide by up_sample_steps = "
            f"{renderer.up_sample_steps}; choose a multiple."
        )
    _check_training(config.train, model, source)


def _check_training(train: TrainConfig, model: ModelConfig, source: str) -> None:
    guided = train.guided_sampling
    if train.learning_rate_decay == "exponential" and train.learning_rate_alpha == 0.0:
        raise InputError(
            f"{source}: train.learning_rate_alpha = 0 with learning_rate_decay = exponential is a rate of 0 from the second iteration "
            "on; expected above 0, for example 0.05."
        )
    if train.exposure == "affine" and not (guided.n_intervals and guided.initial_shape):
        raise InputError(
            f"{source}: train.exposure = affine takes the surface points of an initial shape; expected "
            "train.guided_sampling.n_intervals above 0 and initial_shape = true, or train.exposure = none."
        )
    if guided.n_intervals == 0:
        return
    if model.neus_renderer.near_far != "sphere":
        raise InputError(
            f"{source}: model.neus_renderer.near_far = {model.neus_renderer.near_far}: grid-guided training "
            f"(train.guided_sampling.n_intervals = {guided.n_intervals}) samples within the unit sphere; expected sphere."
        )
    if guided.inside_fraction + guided.near_fraction > 1.0:
        raise InputError(
            f"{source}: train.guided_sampling.inside_fraction = {guided.inside_fraction} and near_fraction = "
            f"{guided.near_fraction}, expected at most 1 together."
        )
    if guided.initial_shape and model.surface != "hash":
        raise InputError(
            f"{source}: train.guided_sampling.n_intervals = {guided.n_intervals} starts from an initial shape, which takes "
            f"model.surface = hash, found {model.surface}; set train.guided_sampling.n_intervals = 0, or "
            "train.guided_sampling.initial_shape = false."
        )


def config_as_dict(config: ExperimentConfig) -> dict[str, Any]:
    """The config as plain numbers, text, lists and dictionaries, as a checkpoint keeps it; inverse of `config_from_dict`."""
    return _plain(asdict(config))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return list(value) if isinstance(value, tuple) else value
