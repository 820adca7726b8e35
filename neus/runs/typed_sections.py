"""Nested dictionaries to config dataclasses: each key known, each value of its type and in its range."""

import difflib
import math
import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from neus.errors import InputError

T = TypeVar("T")


def section_from_dict(cls: type[T], content: Any, source: str, path: tuple[str, ...]) -> T:
    """A config dataclass from nested dictionaries, each key known, each value of its type and in its range.

    Args:
        cls: the dataclass.
        content: its fields; sections are dictionaries.
        source: named first in errors.
        path: of this section in the config.
    """
    if not isinstance(content, dict):
        raise InputError(f"{source}: {'.'.join(path)}: found {content!r}, expected a section {{ ... }}.")
    known = {f.name: f for f in fields(cls)}
    hints = typing.get_type_hints(cls)
    values = {}
    for raw_key, value in content.items():
        key = raw_key.strip('"')
        if key not in known:
            near = difflib.get_close_matches(key, known, 1, cutoff=0.5)
            hint = f"did you mean {'.'.join((*path, near[0]))}?" if near else f"known here: {', '.join(known)}."
            raise InputError(f"{source}: unknown key {'.'.join((*path, key))}; {hint}")
        place = ".".join((*path, key))
        if is_dataclass(hints[key]):
            values[key] = section_from_dict(hints[key], value, source, (*path, key))
        else:
            values[key] = _in_range(_converted(value, hints[key], source, place), known[key].metadata, source, place)
    return cls(**values)


def _converted(value: Any, hint: Any, source: str, place: str) -> Any:
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        return tuple(_converted(v, item, source, place) for v in (value if isinstance(value, list) else [value]))
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(hint, types.UnionType):
        arms = [t for t in typing.get_args(hint) if t is not type(None)]
        hint = next((t for t in arms if t is not str), arms[0]) if is_number else arms[0]
    if hint is float and is_number:
        return float(value)
    if hint is int and is_number and float(value).is_integer():
        return int(value)
    if hint is str and isinstance(value, str) or hint is bool and isinstance(value, bool):
        return value
    expected = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "text"}[hint.__name__]
    raise InputError(f"{source}: {place} = {value!r}, expected {expected}.")


def _in_range(value: Any, rules: typing.Mapping[str, Any], source: str, place: str) -> Any:
    numbers = value if isinstance(value, tuple) else (value,)
    if any(isinstance(number, float) and not math.isfinite(number) for number in numbers):
        raise InputError(f"{source}: {place} = {value}, expected a finite number.")
    lowest, highest = rules.get("minimum", -math.inf), rules.get("maximum", math.inf)
    if ("minimum" in rules or "maximum" in rules) and not all(lowest <= number <= highest for number in numbers):
        expected = f"at least {lowest}" if highest == math.inf else f"between {lowest} and {highest}"
        raise InputError(f"{source}: {place} = {value}, expected {expected}.")
    if "choices" in rules and value not in rules["choices"]:
        near = difflib.get_close_matches(value, rules["choices"], 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise InputError(f"{source}: {place} = {value!r}, expected one of {', '.join(rules['choices'])}.{hint}")
    return value
