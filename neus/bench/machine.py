"""What a number was measured on and with: machine and versions."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import torch

from neus.version import VERSION

CHECKOUT = Path(__file__).resolve().parents[2]
BYTES_PER_GIB = 2**30


def machine_facts(device: torch.device) -> dict[str, Any]:
    """Name and cores of the CPU, threads used, memory in GiB, and the GPU if that is the device."""
    facts = {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": _memory_gib(),
        "gpu": None,
        "gpu_memory_gib": None,
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {"gpu": properties.name, "gpu_memory_gib": round(properties.total_memory / BYTES_PER_GIB, 1)}
    elif device.type == "mps":
        facts["gpu"] = "Apple MPS"
    return facts


def version_facts() -> dict[str, Any]:
    """Versions of package, Python, torch and numpy, and the commit of the checkout, `+changes` if it has any."""
    return {
        "neus": VERSION,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "system": f"{platform.system()} {platform.machine()}",
    }


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / BYTES_PER_GIB, 1)
    except (AttributeError, ValueError, OSError):
        return None  # Windows does not say


def _commit() -> str | None:
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        commit = _git("rev-parse", "--short=10", "HEAD")
        return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None  # no git, or not one's own checkout


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", CHECKOUT, *arguments], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.strip()
