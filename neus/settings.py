"""Fields of config dataclasses that know what values make sense; `neus.runs.config` checks them."""

from collections.abc import Sequence
from dataclasses import field
from typing import Any


def at_least(minimum: float, default: Any) -> Any:
    """A dataclass field whose numbers must not be below `minimum`.

    >>> at_least(1, default=512).metadata["minimum"]
    1
    """
    return field(default=default, metadata={"minimum": minimum})


def between(minimum: float, maximum: float, default: Any) -> Any:
    """A dataclass field whose numbers must lie within two bounds, which are allowed themselves.

    >>> dict(between(0, 1, default=0.5).metadata)
    {'minimum': 0, 'maximum': 1}
    """
    return field(default=default, metadata={"minimum": minimum, "maximum": maximum})


def one_of(choices: Sequence[str], default: str) -> Any:
    """A dataclass field that takes one of several words.

    >>> one_of(("white", "black"), default="white").metadata["choices"]
    ('white', 'black')
    """
    return field(default=default, metadata={"choices": choices})
