"""Outcomes on disk: one .npz a trial, found by what was trained and by what code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench.benchmarks.records.files import read_arrays, write_arrays

from .result import Point, Predictions, RunConfig, RunResult

SPLITS = ("validation", "test")


class ResultStore:
    """The outcomes that `directory` holds. What was trained on other images (`fingerprint` of each
    source), by other code or with another torch, is not found."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, trial: RunConfig, fingerprint: str) -> Path:
        """The file of a trial, there or not."""
        made_by = f"{fingerprint} {source_digest()} {torch.__version__}"
        return self.directory / f"{trial.key(of=made_by)}.npz"

    def get(self, trial: RunConfig, fingerprint: str) -> RunResult | None:
        """The outcome of a trial; None if there is none that can be read."""
        try:
            return read(read_arrays(self.path(trial, fingerprint)), trial)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def put(self, outcome: RunResult, fingerprint: str) -> None:
        """Keep an outcome. Raises OSError if it cannot be written."""
        self.directory.mkdir(parents=True, exist_ok=True)
        write_arrays(self.path(outcome.trial, fingerprint), written(outcome))


def written(outcome: RunResult) -> dict[str, Any]:
    """An outcome as named arrays, of which `about` holds JSON."""
    about = {
        "trial": outcome.trial.to_json(),
        "points": [dataclasses.asdict(point) for point in outcome.points],
        "moved": outcome.moved,
        "parameters": outcome.parameters,
        "counts": outcome.counts,
        "seconds": outcome.seconds,
        "test_loss": outcome.test_loss,
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    for split in SPLITS:
        if said := getattr(outcome, split):
            arrays |= {f"{split}_{name}": array for name, array in vars(said).items()}
    return arrays if outcome.pairs is None else arrays | {"pairs": outcome.pairs}


def read(arrays: dict[str, Any], trial: RunConfig) -> RunResult:
    """The outcome of `trial` that `written` gave. Raises KeyError or TypeError if it is another."""
    about = json.loads(str(arrays["about"]))
    said = {
        split: Predictions(
            **{f.name: arrays[f"{split}_{f.name}"] for f in dataclasses.fields(Predictions)}
        )
        if f"{split}_labels" in arrays
        else None
        for split in SPLITS
    }
    return RunResult(
        trial=trial,
        points=tuple(Point(**point) for point in about["points"]),
        moved=about["moved"],
        parameters=about["parameters"],
        counts=tuple(about["counts"]),
        pairs=arrays.get("pairs"),
        seconds=about["seconds"],
        test_loss=about["test_loss"],
        **said,
    )


@cache
def source_digest() -> str:
    """SHA-256 of the code that an outcome depends on: losses, models, data, training."""
    root = Path(__file__).resolve().parents[2]
    sha = hashlib.sha256()
    for part in ("losses", "models", "benchmarks/data", "benchmarks/training"):
        for path in sorted((root / part).rglob("*.py")):
            sha.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return sha.hexdigest()
