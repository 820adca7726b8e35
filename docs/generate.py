"""Pages of the documentation that are made from the code: configuration, command line and Python API.

`make docs` puts them into the site (`hooks.py`); `python docs/generate.py FOLDER` writes them as Markdown.
"""

import argparse
import inspect
import re
import sys
import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import neus
from neus.cli.classic import build_parser as build_classic_parser
from neus.cli.main import build_parser
from neus.runs.config import ExperimentConfig, read_config
from neus.runs.presets import PRESETS, shipped_conf

# The public names by what they are for; those that are missing here come last, under "More".
API = {
    "Scenes": [
        "load_scene", "process_capture", "scene_from_arrays", "save_scene", "convert_scene", "register_reader", "Scene", "Camera",
        "WorldCamera",
    ],
    "Training and models": ["reconstruct", "train", "load_model", "Model", "ModelConfig"],
    "Images and meshes": ["render", "RenderedView", "extract_mesh", "texture_mesh"],
    "Evaluation": ["evaluate_images", "evaluate_mesh", "evaluate_dtu"],
    "Errors": ["InputError", "InputWarning", "TrainingDiverged"],
}  # fmt: skip
_MEANING = re.compile(r"^( {4})(\w+(?:, \w+)*): (.*)$")


def meanings_of(cls: type) -> dict[str, str]:
    """The sentence about each field in the `Attributes:` of a class's docstring.

    >>> meanings_of(type(PRESETS["quick"]))["without_masks"]
    'file names in the folder of shipped configs.'
    """
    _, _, listed = inspect.cleandoc(cls.__doc__ or "").partition("\nAttributes:\n")
    found: dict[str, str] = {}
    names: list[str] = []
    for line in listed.splitlines():
        start = _MEANING.match(line)
        if start:
            names = start[2].split(", ")
            found |= dict.fromkeys(names, start[3])
        elif line.startswith(" " * 8):
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found


def sections_of(config: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted path and values of each section of a config, outermost first."""
    yield path, config
    for field in fields(config):
        value = getattr(config, field.name)
        if is_dataclass(value):
            yield from sections_of(value, f"{path}.{field.name}".strip("."))


def configuration_page() -> str:
    """Every key of the configs: type, default, limits and meaning."""
    lines = [
        "# Configuration\n",
        "Configs are HOCON files with the sections and keys of NeuS and a few more. This page is generated from the code.",
        "`neus train SCENE --set train.end_iter=20000` overrides a key; `include \"quick_wmask.conf\"` in a file of your own takes",
        "everything from a shipped config. An unknown key, a value of the wrong type or one out of range is an error that names",
        "the key. `RUN/config.conf` holds all values of a run.\n",
        "The defaults below are those of the code; the column `quick` has what the quick preset with masks sets otherwise.",
        "Shipped configs:\n",
        "| preset | with masks | without masks | for |\n|---|---|---|---|",
        *(f"| `{n}` | `{p.with_masks}` | `{p.without_masks}` | {p.summary} |" for n, p in PRESETS.items()),
        "\nWith `train.guided_sampling.n_intervals = 0` rays are sampled as in NeuS, and `train.guided_sampling` has no effect.\n",
    ]
    quick = dict(sections_of(read_config(shipped_conf(PRESETS["quick"].with_masks))))
    for path, section in sections_of(ExperimentConfig()):
        keys = [field for field in fields(section) if not is_dataclass(getattr(section, field.name))]
        if not keys:
            continue
        meanings, hints = meanings_of(type(section)), typing.get_type_hints(type(section))
        summary = inspect.cleandoc(type(section).__doc__ or "").splitlines()[0]
        lines += [f"## `{path}`\n", f"{summary}\n", "| key | type | default | `quick` | meaning |", "|---|---|---|---|---|"]
        for field in keys:
            values = (getattr(section, field.name), getattr(quick[path], field.name))
            lines.append(_key_row(field, hints[field.name], *values, meanings.get(field.name, "")))
        lines.append("")
    return "\n".join(lines)


def _key_row(field: Any, hint: Any, default: Any, in_quick: Any, meaning: str) -> str:
    rules = field.metadata
    kind = _type_name(hint)
    if "choices" in rules:
        kind = " or ".join(f"`{choice}`" for choice in rules["choices"])
    elif "maximum" in rules:
        kind += f", {rules['minimum']} to {rules['maximum']}"
    elif "minimum" in rules:
        kind += f", at least {rules['minimum']}"
    other = "" if in_quick == default else f"`{_hocon(in_quick)}`"
    return f"| `{field.name}` | {kind} | `{_hocon(default)}` | {other} | {_cell(meaning)} |"


def _type_name(hint: Any) -> str:
    if typing.get_origin(hint) is tuple:
        return f"list: {_type_name(typing.get_args(hint)[0])}"
    names = {int: "whole number", float: "number", bool: "true or false", str: "text"}
    return names[hint] if hint in names else " or ".join(names[arm] for arm in typing.get_args(hint))


def _hocon(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{', '.join(map(str, value))}]"
    return '""' if value == "" else str(value)


def _cell(text: str) -> str:
    """Text that may stand in a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ")


def _plain(text: str) -> str:
    """Text without markup, in which Markdown must find none."""
    return re.sub(r"([\[\]*_<>`])", r"\\\1", text)


def command_line_page() -> str:
    """Every verb with its options, from the parsers."""
    parser = build_parser()
    verbs = _verbs_of(parser)
    lines = [
        "# Command line\n",
        "`neus VERB --help` prints the same. This page is generated from the parsers. `python -m neus` and `python exp_runner.py`",
        "take the same verbs.\n",
        "| exit status | meaning |\n|---|---|\n| 0 | done; the path of what was made is the last line |",
        "| 1 | training diverged, some runs of a benchmark failed, or `check --strict` found something |",
        "| 2 | invalid input, named in one line |\n| 130 | interrupted by Ctrl-C or SIGTERM |\n",
    ]
    for verb in verbs.choices.values():
        lines += _verb_section(verb, "##")
    classic = build_classic_parser()
    lines += ["## NeuS's own command line\n", *_usage(classic), *_option_table(classic)]
    return "\n".join(lines)


def _verbs_of(parser: argparse.ArgumentParser) -> Any:
    """The action that holds a parser's verbs, or None."""
    return next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _verb_section(verb: argparse.ArgumentParser, heading: str) -> list[str]:
    description = (verb.description or verb.prog).strip().rstrip(".")
    lines = [f"{heading} `{verb.prog}`\n", f"{_plain(description)}.\n", *_usage(verb)]
    if verb.epilog:
        examples = [line.strip().removeprefix("example:").strip() for line in verb.epilog.strip().splitlines()]
        lines += ["Examples:\n", "```text\n" + "\n".join(examples) + "\n```\n"]
    inner = _verbs_of(verb)
    if inner is None:
        return lines + _option_table(verb)
    for action in inner.choices.values():
        lines += _verb_section(action, heading + "#")
    return lines


def _usage(parser: argparse.ArgumentParser) -> list[str]:
    # Python 3.14 colours the usage, and every version wraps it by the width of the terminal.
    parser.formatter_class = lambda prog: argparse.HelpFormatter(prog, width=88)
    parser.color = False
    return [f"```text\n{parser.format_usage().removeprefix('usage: ').rstrip()}\n```\n"]


def _option_table(parser: argparse.ArgumentParser) -> list[str]:
    lines = []
    for group in parser._action_groups:
        actions = [action for action in group._group_actions if action.help != argparse.SUPPRESS]
        if not actions or {action.dest for action in actions} == {"help"}:
            continue
        title = "" if group.title in ("options", "positional arguments") else f"*{group.title.capitalize()}*\n"
        lines += [title, "| option | meaning |", "|---|---|"]
        lines += [f"| {_spelling(a)} | {_cell(_plain(_help(parser, a)))} |" for a in actions if a.dest != "help"]
        lines.append("")
    return lines


def _spelling(action: argparse.Action) -> str:
    value = action.metavar or ("{" + ",".join(map(str, action.choices)) + "}" if action.choices else action.dest.upper())
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return f"`{value}`"
    name = ", ".join(action.option_strings)
    return f"`{_cell(name if action.nargs == 0 else f'{name} {value}')}`"


def _help(parser: argparse.ArgumentParser, action: argparse.Action) -> str:
    text = action.help or ""
    return text % (vars(action) | {"prog": parser.prog}) if "%(" in text else text.replace("%%", "%")


def api_page() -> str:
    """Every public name, for mkdocstrings to fill in."""
    lines = [
        "# Python API\n",
        "Everything that `import neus` offers. Nothing here prints or installs signal handlers; messages go to the logger `neus`.",
        "Invalid input raises `neus.InputError`: one line that says where, what was found, what was expected, and what to do.\n",
        "Points, meshes and cameras are in world units, the unit of the data set, wherever `frame=\"world\"` is given or nothing",
        "else is said; `frame=\"scene\"` is the frame of the networks, in which the object lies within the unit sphere.\n",
    ]
    listed = {name for names in API.values() for name in names}
    more = [name for name in neus.__all__ if name not in listed and name != "__version__"]
    for title, names in [*API.items(), ("More", more)]:
        if not names:
            continue
        lines.append(f"## {title}\n")
        for name in names:
            place = neus._PLACES.get(name, "neus.errors")
            options = f"    options: {{ heading: \"neus.{name}\", toc_label: \"neus.{name}\" }}"
            lines += [f"::: {place}.{name}\n{options}\n"]
    return "\n".join(lines)


PAGES = {"configuration.md": configuration_page, "command_line.md": command_line_page, "python_api.md": api_page}


def main() -> int:
    """Writes the generated pages into the folder named."""
    if len(sys.argv) != 2:
        print("error: expected one argument, the folder to write to", file=sys.stderr)
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
        print(folder / name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
