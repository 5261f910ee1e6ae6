"""Descriptions of image sets for experiment.json, and the default name of an experiment."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import torch
from torch import Tensor

from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.records.experiment import SYNTHETIC_MARK

from .batches import DeviceDataset
from .image_set import ImageSet


def experiment_name(config: CompareConfig, images: ImageSet, now: datetime) -> str:
    """Return the name of an experiment: the user's, or data, model, start and date.

    The name of an experiment on synthetic images says SYNTHETIC, so nobody takes its numbers for
    results.
    """
    model = config.model.rpartition(":")[2]
    data = SYNTHETIC_MARK if images.synthetic else images.name
    if config.name:
        return f"{data}-{config.name}" if images.synthetic else config.name
    return f"{data}-{model}-{config.start}-{now:%Y%m%d-%H%M%S}"


def describe_data(images: ImageSet, dataset: DeviceDataset) -> dict[str, Any]:
    """Describe an image set and count the images that a run uses, by split and class."""
    classes = len(images.classes)
    validation = dataset.validation
    counts = {
        "train": list(dataset.counts),
        "validation": _counts(validation.labels, classes) if validation else [0] * classes,
        "test": _counts(dataset.test.labels, classes),
    }
    return {
        "name": images.name,
        "description": images.description,
        "fingerprint": images.fingerprint,
        "classes": list(images.classes),
        **{split: sum(each) for split, each in counts.items()},
        **{f"{split}_counts": each for split, each in counts.items()},
        "skipped": list(images.skipped),
    }


def _counts(labels: Tensor, classes: int) -> list[int]:
    counts: list[int] = torch.bincount(labels, minlength=classes).tolist()
    return counts
