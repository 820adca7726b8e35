"""The one exception for everything a user can cause; the command line prints it as one line and exits with status 2."""

import warnings
from collections.abc import Sequence


class InputError(ValueError):
    """Something given by the user is wrong.

    The message is one line that says where, what was found, what was expected and what to do:

    >>> raise InputError("scene/mask: 48 masks but 49 images; add the missing mask or remove the folder.")
    Traceback (most recent call last):
    ...
    neus.errors.InputError: scene/mask: 48 masks but 49 images; add the missing mask or remove the folder.
    """


class RegionError(InputError):
    """No region of interest can be found in a scene; it can be read with one that is given."""


class TrainingDiverged(ArithmeticError):
    """Numbers stopped being finite again and again; the message says which, when, and what is left."""


class InputWarning(UserWarning):
    """An input that looks wrong, though work can continue; the command line prints it as one line."""


def warn_of(message: str, names: Sequence[str]) -> None:
    """An `InputWarning` about named things: the message, then the first four names in brackets."""
    listed = ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
    warnings.warn(f"{message} ({listed}).", InputWarning, stacklevel=3)


class MaskWarning(InputWarning):
    """The same about masks alone, of which the checks of a scene have a finding."""
