"""Rows, weights, predictions and events of two experiments, compared."""

import csv
from pathlib import Path

import numpy as np
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

TIMES = dict.fromkeys(("seconds", "images_per_second"))


def rows_of(directory: Path, name: str = "results.csv") -> list[dict[str, str]]:
    with (directory / name).open() as file:
        return list(csv.DictReader(file))


def equal_but_for_time(one: Path, two: Path, name: str = "results.csv") -> None:
    """Assert that two experiments have the same rows."""
    first, second = ([row | TIMES for row in rows_of(each, name)] for each in (one, two))
    assert first
    assert first == second


def assert_same_weights(one: Path, two: Path) -> None:
    """Assert that all runs of two experiments have the same weights."""
    paths = [path.relative_to(one) for path in one.rglob("checkpoint.pt")]
    assert paths
    for path in paths:
        first, second = (torch.load(d / path, weights_only=True)["model"] for d in (one, two))
        assert all(torch.equal(first[name], second[name]) for name in first), path


def assert_same_runs(one: Path, two: Path) -> None:
    """Assert that two experiments have the same rows, weights, predictions and events."""
    for name in ("results.csv", "warnings.csv"):
        equal_but_for_time(one, two, name)
    assert_same_weights(one, two)
    for path in one.rglob("seed*/predictions.npz"):
        run = path.parent.relative_to(one)
        with np.load(path) as a, np.load(two / run / path.name) as b:
            assert all(np.array_equal(a[name], b[name]) for name in a)
        first, second = (_events(d / run) for d in (one, two))
        assert first == second
        assert all(len(set(map(str, events))) == len(events) for events in first.values())


def _events(run: Path) -> dict[str, list]:
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0}).Reload()
    found = {
        tag: [(e.step, e.value) for e in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
        if not tag.startswith("speed")
    }
    for tag in events.Tags()["tensors"]:
        found[tag] = [(e.step, e.tensor_proto.string_val[0]) for e in events.Tensors(tag)]
    return found
