"""Fuzz the files of experiments, claims and runs."""

import csv
import hashlib
import io
import json
import zipfile
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from lossbench.benchmarks.config import CompareConfig, RunConfig, validate
from lossbench.benchmarks.errors import UserError
from lossbench.benchmarks.records import claim
from lossbench.benchmarks.records.reading import (
    COLUMNS,
    EXPERIMENT_FILE,
    read_correct,
    read_description,
    read_experiment,
)
from lossbench.benchmarks.records.results import Evaluation
from lossbench.benchmarks.report.board_predictions import read_predictions
from lossbench.benchmarks.report.claims import claim_document
from lossbench.benchmarks.report.page import comparison_document
from lossbench.benchmarks.report.render import html, markdown
from lossbench.benchmarks.report.summary import summarise_experiment
from lossbench.benchmarks.training import checkpoint
from lossbench.benchmarks.training.plan import parse_config
from lossbench.benchmarks.training.result import Predictions, RunResult
from lossbench.benchmarks.training.result_cache import ResultCache, to_arrays

from .target import Target

ABOUT = {
    "name": "x",
    "command": "lossbench compare",
    "date": "2020-01-01",
    "synthetic": False,
    "config": {"losses": ["cross-entropy", "mse"], "epochs": 1, "seeds": 2, "start": "normal"},
    "data": {
        "name": "d",
        "description": "of d",
        "fingerprint": "f",
        "classes": ["dog", "cat"],
        "train": 30,
        "validation": 4,
        "test": 20,
        "train_counts": [15, 15],
        "validation_counts": [2, 2],
        "test_counts": [12, 8],
        "skipped": ["a (damaged)"],
    },
    "model": {"name": "convnet", "parameters": 1234},
    "versions": {"torch": "0.0"},
    "hardware": {"processor": "abacus", "cores": 2, "gpu": None},
    "git": None,
}
INTERVAL = {"mean": 0.5, "low": None, "high": 1, "n": 3}
ROWS = [
    {
        "rows": [{"label": "a", "loss": "mse", "interval": INTERVAL, "expected": [0.0, "inf"]}],
        "references": [[1.0, "one"]],
        "log": True,
    }
]
CURVES = [
    {
        "curves": [{"loss": "mse", "x": [1, 2], "y": [0.5, "nan"], "seeds": [[0.5, 0.6]]}],
        "x": {"label": "steps", "ticks": [[1, "one"]]},
        "y": {"limits": [0.0, None]},
    }
]
WARNINGS = "loss,seed,kind,layer,step,value,text\nmse,1,vanished,head,30,1e9,mse is flat\n"
BREAK = b"\n--8<--\n"


def _experiments() -> list[bytes]:
    file = io.StringIO()
    rows = csv.DictWriter(file, COLUMNS)
    rows.writeheader()
    for loss in ("cross-entropy", "mse"):
        for seed in range(2):
            for step in range(2):
                row = dict.fromkeys(COLUMNS, 0.5) | {"loss": loss, "seed": seed, "epoch": step}
                rows.writerow(row | {"step": 10 * step, "test_accuracy": 0.6 if step else "nan"})
    tuned = ABOUT["config"] | {"tuned": True, "seeds": [0, 1], "learning_rates": {"mse": 0.1}}  # type: ignore[operator]
    twice = {"of": "cross-entropy", "factor": 2.0, "difference": 1e-8}
    alike = ABOUT | {"learning_rates_from": "a search", "identities": {"mse": twice}}
    return [
        BREAK.join((json.dumps(about).encode(), file.getvalue().encode(), WARNINGS.encode()))
        for about in (ABOUT, {"config": ABOUT["config"]}, ABOUT | {"config": tuned}, alike)
    ]


def _read_experiment(data: bytes, scratch: Path) -> None:
    names = ("experiment.json", "results.csv", "warnings.csv")
    for name, content in zip(names, (*data.split(BREAK), b"", b""), strict=False):
        (scratch / name).write_bytes(content)
    experiment = read_experiment(scratch)
    summary = summarise_experiment(experiment)
    document = comparison_document(experiment, summary, {})
    assert html(document)
    assert markdown(document)
    assert json.dumps(summary, allow_nan=False)


def _claims() -> list[bytes]:
    record = {
        **{name: name for name in claim.TEXTS},
        "verdict": "holds",
        "measures": [
            {"name": "m", "value": 1.0, "low": 0.5, "high": None, "wanted": "x", "verdict": "holds"}
        ],
        "pictures": [
            {"name": "a.png", "alt": "a", "title": "t", "caption": "c", "panels": ROWS},
            {"name": "b.png", "panels": CURVES, "columns": 2},
        ],
        "tables": [{"title": "t", "columns": ["a", "b"], "rows": [["1"], [2, 3]], "notes": ["n"]}],
        "notes": ["note"],
        "about": {
            "command": "c",
            "design": {
                "hash": "0",
                "looks": [5, 8],
                "first_seed": 100,
                "in_words": "Two looks.",
                "earlier": ["1, seeds 100 to 107"],
            },
            "trials": 3,
            "training_seconds": 61.0,
            "seeds": [0, 1],
            "seconds": 3.0,
            "models": ["convnet"],
            "data": [ABOUT["data"]],
            "versions": {"torch": "0.0"},
            "hardware": {"cores": 2},
            "git": None,
        },
    }
    return [json.dumps(record).encode(), json.dumps(record | {"about": {}}).encode()]


def _read_claim(data: bytes, scratch: Path) -> None:
    (scratch / claim.FILE).write_bytes(data)
    document = claim_document(claim.read_claim(scratch))
    assert html(document)
    assert markdown(document)


def _predictions() -> Predictions:
    labels = np.arange(6) % 2
    halves = np.full((6, 2), 0.5, np.float32)
    return Predictions(halves[:, :1], halves, labels, labels)


def _arrays(arrays: dict[str, np.ndarray]) -> list[bytes]:
    files = []
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)  # type: ignore[arg-type]
        files.append(file.getvalue())
    parts = []
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array)
        parts.append(name.encode() + b".npy\0" + file.getvalue())
    return [*files, BREAK.join(parts)]


def _npz(data: bytes) -> bytes:
    """Return an .npz as it is, or make one of mutated arrays.

    Mutations of the archive itself rarely pass its checksums.
    """
    if data.startswith(b"PK"):
        return data
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for part in data.split(BREAK):
            name, _, content = part.partition(b"\0")
            archive.writestr(name.decode("latin-1") or "x", content)
    return file.getvalue()


def _read_predictions(data: bytes, scratch: Path) -> None:
    path = scratch / "mse" / "seed0" / "predictions.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_npz(data))
    right = read_correct(scratch, "mse", 0)
    assert right is not None
    assert right.dtype == bool
    assert right.ndim == 1
    read_predictions([path.parent])


RUN = RunConfig("mse", 0, 0.1)


def _results() -> list[bytes]:
    point = Evaluation(loss="mse", seed=0, epoch=1.0, step=10, train_loss=0.5)
    result = RunResult(
        RUN, (point,), 1.0, 10, (3, 3), _predictions(), None, np.zeros((2, 4), np.float32), 1.0, 0.5
    )
    return _arrays(to_arrays(result))


class NoResultError(Exception):
    """Raised when no result can be read; the run would be trained again."""


def _read_result(data: bytes, scratch: Path) -> None:
    store = ResultCache(scratch, torch.device("cpu"))
    store.path(RUN, "print").write_bytes(_npz(data))
    result = store.get(RUN, "print")
    if result is None:
        raise NoResultError
    assert result.config == RUN
    assert all(asdict(point) for point in result.evaluations)


def _checkpoints() -> list[bytes]:
    """Return the content of resume.pt after its SHA-256, which no mutation would pass."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "resume.pt"
        known = {"files": {"results.csv": 10}, "speed": 2.5, "last": None}
        model = {"head.weight": torch.arange(6.0).view(2, 3), "head.bias": torch.zeros(2)}
        checkpoint.save(path, "key", known | {"training": {"model": model, "done": 3}})
        return [path.read_bytes()[32:]]


def _read_checkpoint(data: bytes, _: Path) -> None:
    state = checkpoint.parse(hashlib.sha256(data).digest() + data, "key")
    assert isinstance(state, dict)


def _resumable() -> list[bytes]:
    settings = CompareConfig(losses=("mse", "cross-entropy")).to_json()
    rates = {"learning_rates": {"mse": 0.1, "cross-entropy": 0.3}}
    return [json.dumps(ABOUT | {"config": settings | rates, "own_losses": []}).encode()]


def _resume(data: bytes, scratch: Path) -> None:
    (scratch / EXPERIMENT_FILE).write_bytes(data)
    config, rates, _ = parse_config(read_description(scratch), scratch)
    validate(config)
    assert set(rates) == set(config.losses or ())


WORDS = (b"seeds", b"losses", b"config", b"data", b"classes", b"test_counts", b"epochs", b"skipped")
JSON = tuple(b'"%s": %s, ' % (w, v) for w in WORDS for v in (b"null", b"[]", b"7", b'"x"', b"[[]]"))
NPZ = (
    *(b"PK\1\2", b"PK\3\4", b"PK\5\6", b"\x93NUMPY"),
    *(b"'|O'", b"'<f8'", b"(9999999999,)", b"predicted"),
)

EXPERIMENT = Target(_experiments, _read_experiment, (UserError,), (*WORDS, *JSON, BREAK, b"1e308"))
CLAIM = Target(
    _claims, _read_claim, (UserError,), (*JSON, b'"measures": [{}], ', b'"pictures": [{}], ')
)
PREDICTIONS = Target(lambda: _arrays(vars(_predictions())), _read_predictions, (UserError,), NPZ)
RESULTS = Target(_results, _read_result, (NoResultError,), NPZ)
CHECKPOINT = Target(
    _checkpoints,
    _read_checkpoint,
    (checkpoint.CheckpointError,),
    (b"PK\1\2", b"PK\3\4", b"key", b"c__main__\n"),
)
RESUMPTION = Target(_resumable, _resume, (UserError,), (*WORDS, *JSON, b"own_losses", b"1e308"))
