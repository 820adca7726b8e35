"""Memory that a scene needs, known before its pixels are read, and memory that there is."""

import os
from collections.abc import Sequence
from pathlib import Path

from neus.errors import InputError
from neus.kernels.threads import n_threads
from neus.scenes.downscale import downscaled_size, jpeg_reduction
from neus.scenes.pixel_store import Size

# While one thread decodes an image: its pixels in OpenCV's order, in ours and undistorted; with an alpha, in floating point too.
BYTES_WHILE_DECODED, BYTES_WHILE_COMPOSED = 12, 48
# Reading less takes a second.
WORTH_A_LINE = 100_000_000
# A factor above this leaves nothing of an image.
MOST_DOWNSCALED = 64


def needed_memory(stored: Sequence[Size], factor: int, n_threads: int, has_alphas: bool = False) -> int:
    """Bytes that the pixels of a scene take in memory, and decoding them meanwhile.

    Args:
        stored: V (width, height) of the files.
        factor: by which they are made smaller.
        n_threads: that decode at the same time.
        has_alphas: whether the images' alpha channels are kept.
    """
    kept = sum(w * h for w, h in (downscaled_size(size, factor) for size in stored)) * (5 if has_alphas else 4)
    decoded = max(w * h // jpeg_reduction((w, h), factor) ** 2 for w, h in stored)
    return kept + decoded * min(n_threads, len(stored)) * (BYTES_WHILE_COMPOSED if has_alphas else BYTES_WHILE_DECODED)


def available_memory(root: Path = Path("/")) -> int | None:
    """Bytes that this process can still take without swapping: what the system has, or what its container leaves; None if unknown.

    Args:
        root: where `proc` and `sys` are.
    """
    known = [_available(root / "proc/meminfo"), *(_left(root / place, *names) for place, *names in _LIMITS)]
    return min((number for number in known if number is not None), default=None)


def check_memory(source: Path, stored: Sequence[Size], factor: int, has_alphas: bool = False) -> str | None:
    """One line on what is about to be read and how much memory it takes, None for a scene so small that nobody waits for it.

    Args:
        source: of the scene, for messages.
        stored, factor, has_alphas: as for `needed_memory`.

    Raises:
        InputError: it does not fit.
    """
    available, threads = available_memory(), n_threads()
    needed = needed_memory(stored, factor, threads, has_alphas)
    line = f"images: {len(stored)} of {sizes_in_words(stored)} pixels"
    if factor > 1:
        line += f", read at {sizes_in_words([downscaled_size(size, factor) for size in stored])} (dataset.downscale={factor})"
    if available is None or needed <= available:
        return f"{line}; {in_words(needed)} of memory" if needed >= WORTH_A_LINE else None
    smaller = factor
    while needed_memory(stored, smaller, threads, has_alphas) > available and smaller < MOST_DOWNSCALED:
        smaller *= 2
    raise InputError(
        f"{source}: {line} take {in_words(needed)} of memory, but {in_words(available)} are available; "
        f"read them smaller (--set dataset.downscale={smaller}), or fewer of them (dataset.views, dataset.exclude)."
    )


def sizes_in_words(sizes: Sequence[Size]) -> str:
    """Width and height, or the smallest and the largest of several.

    >>> sizes_in_words([(4, 3), (4, 3)]), sizes_in_words([(8, 6), (4, 3)])
    ('4x3', '4x3 to 8x6')
    """
    different = sorted(set(sizes))
    return " to ".join(f"{width}x{height}" for width, height in dict.fromkeys((different[0], different[-1])))


def in_words(n_bytes: int) -> str:
    """Bytes in gigabytes, or in megabytes below one.

    >>> in_words(3_400_000_000), in_words(20_000_000)
    ('3.4 GB', '20 MB')
    """
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.0f} MB"


# Of a container: its folder, the files with its limit and its usage, and the name in memory.stat of what can be dropped.
_LIMITS = (
    ("sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    ("sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def _available(meminfo: Path) -> int | None:
    try:
        return 1024 * _table(meminfo)["MemAvailable:"]
    except (OSError, ValueError, KeyError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):  # unknown on this system
        return None


def _left(folder: Path, limit: str, usage: str, droppable: str) -> int | None:
    try:
        allowed, used = (int((folder / name).read_text(encoding="ascii")) for name in (limit, usage))
        return max(0, allowed - used + _table(folder / "memory.stat").get(droppable, 0))
    except (OSError, ValueError):  # no container, or one without a limit ("max")
        return None


def _table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text(encoding="ascii").splitlines())
    return {row[0]: int(row[1]) for row in rows}
