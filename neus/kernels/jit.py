"""How kernels for a CPU are compiled."""

from numba import njit

# Sums may be regrouped, so that they fill vector registers; the order is fixed once compiled. NaN and infinity stay what they are.
_OPTIONS = {"cache": True, "nogil": True, "error_model": "numpy", "fastmath": {"contract", "reassoc", "nsz", "arcp"}}
compiled = njit(**_OPTIONS)
# For what is a part of each turn of a loop: a call would hand its results over by memory.
inlined = njit(**_OPTIONS, forceinline=True)
