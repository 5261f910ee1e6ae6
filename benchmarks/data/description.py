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
    """The experiment's name: the user's, or data, model and date. Synthetic pictures put
    SYNTHETIC before either, so that the name itself says that these are no results."""
    model = config.model.rpartition(":")[2]
    default = f"{images.name}-{model}-{config.start}-{now:%Y%m%d-%H%M%S}"
    if not images.synthetic:
        return config.name or default
    return (
        f"{SYNTHETIC_MARK}-{config.name}"
        if config.name
        else default.replace(images.name, SYNTHETIC_MARK, 1)
    )


def data_facts(images: ImageSet, material: DeviceDataset) -> dict[str, Any]:
    """What images there were, and how they were used: numbers by split and class."""
    classes = len(images.classes)
    held_out = material.validation
    counts = {
        "train": list(material.counts),
        "validation": _counts(held_out.labels, classes) if held_out else [0] * classes,
        "test": _counts(material.test.labels, classes),
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
