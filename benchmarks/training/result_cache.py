"""Cache of results: one .npz per run, found by its configuration, images and code."""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lossbench import losses, models
from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.records.environment import processor_family
from lossbench.benchmarks.records.files import (
    ONE_DAY,
    make_directory,
    read_arrays,
    remove_scratch,
    write_arrays,
)
from lossbench.benchmarks.records.results import Evaluation
from lossbench.losses import registry

from .curvature import Curvature
from .network import is_own
from .optimizer import find_class, parse_settings
from .result import Predictions, RunResult

ROOT = Path(__file__).resolve().parents[2]
"""Directory of losses, models and benchmarks."""

SPLITS = ("validation", "test")


class ResultCache:
    """Results in a directory, found by all that their numbers depend on: run, images, code, backend
    of the losses, torch, and kind of processor or GPU.

    Args:
        directory: of the files, made when it is needed.
        device: where the runs are trained.
    """

    def __init__(self, directory: Path, device: torch.device) -> None:
        self.directory, self.device = directory, device
        remove_scratch(directory, older_than=ONE_DAY)

    def path(self, config: RunConfig, fingerprint: str) -> Path:
        """Return the file of a run, whether it exists or not.

        Args:
            config: the run.
            fingerprint: of its images.
        """
        on_cuda = self.device.type == "cuda"
        backend = str(losses.backend(self.device)) if config.kernels else "closed forms"
        native = backend.startswith("kernels")
        depends_on = (
            fingerprint,
            source_digest(native),
            *map(package_digest, own_packages(config)),
            *filter(None, [registry.location(config.loss)]),  # what it takes is stated there
            backend if native else "closed forms",
            torch.__version__,
            torch.cuda.get_device_name(self.device) if on_cuda else processor_family(),
        )
        return self.directory / f"{config.key(of=' '.join(depends_on))}.npz"

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
        make_directory(self.directory)
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
        "curvature": result.curvature,
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
        curvature=None if about["curvature"] is None else Curvature(*about["curvature"]),
        **predictions,
    )


@cache
def source_digest(native: bool) -> str:
    """Return the SHA-256 of lossbench's code that a result depends on, without its comments.

    Args:
        native: whether kernels compute the loss: then their C++ is part of it.
    """
    return _digest(ROOT, source_files(native))


def source_files(native: bool) -> list[Path]:
    """Return the files of lossbench that a result depends on; see `source_digest`."""
    parts = ("losses", "models", "benchmarks/data", "benchmarks/records", "benchmarks/training")
    files = [path for part in parts for path in (ROOT / part).rglob("*.py")]
    if native:
        kernels = ROOT / "losses" / "kernels"
        files += [path for suffix in ("*.cpp", "*.h") for path in kernels.rglob(suffix)]
    return sorted(files)


def own_packages(config: RunConfig) -> list[str]:
    """Return the top-level names of the packages or modules of a user's own loss, model and
    optimizer."""
    classes: list[Any] = [registry.entry(config.loss).module, models.find(config.model)]
    classes.append(find_class(parse_settings(config.optimizer)[0])[0])
    modules = [each.__module__ for each in classes]
    if is_own(config.model):
        # A functools.partial has another __module__ than the one that it is written in.
        modules.append(config.model.partition(":")[0])
    found = {each.partition(".")[0] for each in modules}
    return sorted(found - {registry.__name__.partition(".")[0], "torch"})


@cache
def package_digest(name: str) -> str:
    """Return the SHA-256 of the Python files of an imported top-level package or module."""
    module = sys.modules[name]
    roots = [Path(root) for root in getattr(module, "__path__", ())]
    digests = [_digest(root, sorted(root.rglob("*.py"))) for root in roots]
    if not roots and (file := getattr(module, "__file__", None)):
        digests.append(_digest(Path(file).parent, [Path(file)]))
    return " ".join((name, *digests))


def _digest(root: Path, files: list[Path]) -> str:
    sha = hashlib.sha256()
    for path in files:
        text = path.read_bytes()
        code = without_comments(text) if path.suffix == ".py" else text
        sha.update(path.relative_to(root).as_posix().encode() + code)
    return sha.hexdigest()


def without_comments(text: bytes) -> bytes:
    """Return the syntax tree of Python code, without its docstrings; the text itself if it cannot
    be parsed.

    Hours of training are not lost to a better sentence.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return text
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [each for each in node.body if not _is_string(each)]
    return ast.dump(tree).encode()


def _is_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
