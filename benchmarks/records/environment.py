"""Versions, hardware and source that a result was made with."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lossbench import losses


def describe_environment(device: torch.device, kernels: bool, threads: int = 1) -> dict[str, Any]:
    """Return versions, hardware and git commit as JSON values.

    Args:
        device: where networks are trained.
        kernels: whether losses are computed by their kernels, where there are any.
        threads: of each network on the CPU.
    """
    return {
        "versions": versions(),
        "hardware": hardware(device, kernels) | {"threads": threads},
        "git": commit(),
    }


def versions() -> dict[str, str | None]:
    """Return the versions of Python, lossbench, torch and torchvision; None if not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in ("lossbench", "torch", "torchvision"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def hardware(device: torch.device, kernels: bool = True) -> dict[str, Any]:
    """Return processor, usable cores, torch's threads, GPU and the backend of the losses.

    Args:
        device: of the losses.
        kernels: whether they are computed by their kernels, where there are any.
    """
    backend = losses.backend(device) if kernels else losses.Backend("closed forms", "no --kernels")
    return {
        "processor": processor(),
        "cores": cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name(device) if device.type == "cuda" else None,
        "losses": str(backend),
    }


def cpu_count() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """Return the name of the processor, if the system tells."""
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def processor_family() -> str:
    """Return what the last bits of a number depend on: maker and model of the processor, and the
    widest instructions that torch uses on it."""
    kept = ("vendor_id", "cpu family", "model\t", "CPU implementer", "CPU part")
    facts = dict.fromkeys(line.replace("\t", "") for line in _cpuinfo() if line.startswith(kept))
    capability = torch.backends.cpu.get_cpu_capability()
    return ", ".join((platform.machine(), capability, *facts))


def _cpuinfo() -> list[str]:
    """Return the lines in which Linux describes the processor; none on other systems."""
    try:
        return Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []


def commit() -> str | None:
    """Return the git commit of this source, with '+' if it was changed; None outside git."""
    root = Path(__file__).resolve().parents[2]

    def git(*arguments: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed copy may lie inside some other repository.
    if git("ls-files", "--error-unmatch", str(Path(__file__).resolve())) is None:
        return None
    changed = git("status", "--porcelain", "--untracked-files=no")
    head = git("rev-parse", "--short=12", "HEAD")
    return f"{head}+" if head and changed else head
