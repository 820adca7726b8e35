"""What the camera files of other programs have in common: finding them, and reading numbers with errors that say where."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from neus.errors import InputError
from neus.files import read_text

SUGGESTION = "export the cameras again"


def found_file(folder: Path, patterns: Sequence[str], fits: Callable[[Path], bool] = lambda path: True) -> Path | None:
    """The camera file of a format: the path itself if it is one, or the first below the folder by these patterns; None without.

    Args:
        folder: of the scene, or a file.
        patterns: of names below the folder, as of `Path.glob`, the most telling first.
        fits: whether a file is one, by what is in it.

    Raises:
        InputError: several files fit one pattern.
    """
    if folder.is_file():
        return folder if any(folder.match(pattern) for pattern in patterns) and fits(folder) else None
    for pattern in patterns:
        found = sorted(file for file in folder.glob(pattern) if file.is_file() and file.name[0] != "." and fits(file))
        if len(found) > 1:
            raise InputError(
                f"{folder}: {len(found)} camera files ({', '.join(file.name for file in found[:4])}); give the path of one of them."
            )
        if found:
            return found[0]
    return None


def begins_with(path: Path, *texts: bytes) -> bool:
    """Whether the first lines of a file, in lower case, hold all of these."""
    with open(path, "rb") as file:
        head = file.read(4096).lower()
    return all(text in head for text in texts)


def json_of(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    """The contents of a JSON file that is an object with these keys.

    Raises:
        InputError: no JSON, or a key is missing.
    """
    content = json_text_of(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: {_kind(content)}, expected an object with {', '.join(keys)}; {SUGGESTION}.")
    for key in keys:
        value_of(content, key, str(path))
    return content


def json_text_of(path: Path) -> Any:
    """The contents of a JSON file, of whatever type; InputError if it is none."""
    try:
        return json.loads(read_text(path, SUGGESTION))
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(f"{path}: not a readable json file ({error}); {SUGGESTION}.") from error


def value_of(content: Any, key: str, where: str) -> Any:
    """content[key]; InputError that says where it was expected."""
    if not isinstance(content, dict) or key not in content:
        found = ", ".join(list(content)[:6]) if isinstance(content, dict) else _kind(content)
        raise InputError(f"{where}: no key {key!r} in it (found: {found or 'nothing'}); {SUGGESTION}.")
    return content[key]


def number_of(content: Any, key: str, where: str, default: float | None = None) -> float:
    """content[key] as a finite number, also where it is written as text; the default where there is none."""
    if default is not None and (not isinstance(content, dict) or content.get(key) in (None, "")):
        return default
    return float(numbers_of([value_of(content, key, where)], 1, f"{where}: {key}")[0])


def size_of(content: Any, where: str, keys: tuple[str, str] = ("width", "height")) -> tuple[int, int]:
    """Width and height in pixels, both positive."""
    width, height = (number_of(content, key, where) for key in keys)
    if not (width >= 1 and height >= 1):
        raise InputError(f"{where}: {keys[0]} {width:g} and {keys[1]} {height:g}, expected pixels; {SUGGESTION}.")
    return round(width), round(height)


def numbers_of(values: Any, count: int, where: str) -> np.ndarray:
    """(count,) float64 finite numbers from a list, nested or not, of numbers or their text.

    Raises:
        InputError: another count, or something that is no finite number.

    >>> numbers_of(["1", "2.5"], 2, "file")
    array([1. , 2.5])
    >>> numbers_of([1.0, "x"], 2, "cameras.txt: line 3")
    Traceback (most recent call last):
    ...
    neus.errors.InputError: cameras.txt: line 3: 'x' is no number; export the cameras again.
    """
    try:  # there may be millions of lines
        numbers = [] if isinstance(values, str) else list(map(float, values))
        if len(numbers) == count and math.isfinite(sum(numbers)):
            return np.array(numbers)
    except (TypeError, ValueError):  # nested, or no numbers: said below
        pass
    flat = _flat(values)
    if len(flat) != count:
        raise InputError(f"{where}: {len(flat)} numbers, expected {count}; {SUGGESTION}.")
    return np.array([_number(value, where) for value in flat])


def _flat(values: Any) -> list[Any]:
    if isinstance(values, list | tuple | np.ndarray):
        return [one for value in values for one in _flat(value)]
    return [values]


def _number(value: Any, where: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {str(value)[:40]!r} is no number; {SUGGESTION}.") from None
    if not math.isfinite(number):
        raise InputError(f"{where}: {value!r}, expected a finite number; {SUGGESTION}.")
    return number


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text"}.get(type(value), "no object")


class Lines:
    """A text file line by line, words of numbers on each, with errors that name the line.

    Args:
        path: the file.
        comment: the beginning of lines that are left out.
    """

    def __init__(self, path: Path, comment: str = "#") -> None:
        self.path = path
        text = read_text(path, SUGGESTION)
        self._lines = [
            (number, line.strip())
            for number, line in enumerate(text.split("\n"), 1)
            if line.strip() and not (comment and line.strip().startswith(comment))
        ]
        self._next = 0

    def __len__(self) -> int:
        return len(self._lines) - self._next

    @property
    def where(self) -> str:
        """The line that was read last, for messages."""
        return f"{self.path}: line {self._lines[max(0, self._next - 1)][0] if self._lines else 1}"

    def text(self, expected: str) -> str:
        """The next line; InputError where the file ends."""
        if self._next >= len(self._lines):
            raise InputError(f"{self.path}: it ends where {expected} should follow; copy the file again.")
        self._next += 1
        return self._lines[self._next - 1][1]

    def numbers(self, count: int, expected: str) -> np.ndarray:
        """(count,) the numbers of the next line."""
        words = self.text(expected).split()
        if len(words) != count:
            raise InputError(f"{self.where}: {len(words)} words, expected {expected} ({count} numbers); {SUGGESTION}.")
        return numbers_of(words, count, self.where)

    def counted(self, values: Sequence[float], expected: str) -> list[int]:
        """Counts of things that follow, each on a line or more; InputError for counts that cannot be."""
        counts = [int(value) for value in values]
        if any(count < 0 or count != value or count > len(self) for count, value in zip(counts, values, strict=True)):
            shown = " and ".join(f"{value:g}" for value in values)
            raise InputError(f"{self.where}: {shown} as {expected}, but {len(self)} lines follow; {SUGGESTION}.")
        return counts
