"""Cache of results: one .npz per run, found by its configuration, images and code."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.files import read_arrays, write_arrays
from lossbench.benchmarks.records.results import Evaluation

from .result import Predictions, RunResult

SPLITS = ("validation", "test")


class ResultCache:
    """Results in a directory. Those of other images, other code or another torch are not found."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, config: RunConfig, fingerprint: str) -> Path:
        """Return the file of a run, whether it exists or not.

        Args:
            config: the run.
            fingerprint: of its images.
        """
        version = f"{fingerprint} {source_digest()} {torch.__version__}"
        return self.directory / f"{config.key(of=version)}.npz"

    def get(self, config: RunConfig, fingerprint: str) -> RunResult | None:
        """Return the result of a run; None if there is none, or it cannot be read."""
        try:
            return from_arrays(read_arrays(self.path(config, fingerprint)), config)
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return None

    def put(self, result: RunResult, fingerprint: str) -> None:
        """Write a result.

        Raises:
            OSError: it cannot be written.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        write_arrays(self.path(result.config, fingerprint), to_arrays(result))


def to_arrays(result: RunResult) -> dict[str, Any]:
    """Return a result as named arrays; `about` holds the rest as JSON."""
    about = {
        "config": result.config.to_json(),
        "evaluations": [dataclasses.asdict(each) for each in result.evaluations],
        "parameter_distance": result.parameter_distance,
        "parameters": result.parameters,
        "counts": result.counts,
        "seconds": result.seconds,
        "test_loss": result.test_loss,
    }
    arrays: dict[str, Any] = {"about": np.array(json.dumps(about))}
    for split in SPLITS:
        if predictions := getattr(result, split):
            arrays |= {f"{split}_{name}": array for name, array in vars(predictions).items()}
    return arrays if result.examples is None else arrays | {"examples": result.examples}


def from_arrays(arrays: dict[str, Any], config: RunConfig) -> RunResult:
    """Return the result of a run from the arrays that `to_arrays` gave.

    Raises:
        KeyError or TypeError: the arrays are others.
    """
    about = json.loads(str(arrays["about"]))
    predictions = {
        split: Predictions(
            **{f.name: arrays[f"{split}_{f.name}"] for f in dataclasses.fields(Predictions)}
        )
        if f"{split}_labels" in arrays
        else None
        for split in SPLITS
    }
    return RunResult(
        config=config,
        evaluations=tuple(Evaluation(**each) for each in about["evaluations"]),
        parameter_distance=about["parameter_distance"],
        parameters=about["parameters"],
        counts=tuple(about["counts"]),
        examples=arrays.get("examples"),
        seconds=about["seconds"],
        test_loss=about["test_loss"],
        **predictions,
    )


@cache
def source_digest() -> str:
    """Return the SHA-256 of the code that a result depends on: losses, models, data, training."""
    root = Path(__file__).resolve().parents[2]
    sha = hashlib.sha256()
    for part in ("losses", "models", "benchmarks/data", "benchmarks/training"):
        for path in sorted((root / part).rglob("*.py")):
            sha.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return sha.hexdigest()
