"""Descriptions of image sets for experiment.json."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lossbench.benchmarks.format import describe_split, few_images, percent, plural

from .batches import DeviceDataset
from .image_set import ImageSet
from .sources import SPLITS

IMBALANCE = 1.5
"""How many times as many training images of one class as of another are worth a warning."""


def describe_data(
    images: ImageSet, dataset: DeviceDataset, batch_size: int | None = None
) -> dict[str, Any]:
    """Describe an image set and count the images that a run uses, by split and class.

    Args:
        images: the image set.
        dataset: its images as a run uses them.
        batch_size: if given, more of it than images to train on are worth a warning.
    """
    classes, validation = len(images.classes), dataset.validation
    counts = {
        "train": list(dataset.counts),
        "validation": _counts(validation.labels, classes) if validation else [0] * classes,
        "test": _counts(dataset.test.labels, classes),
    }
    composition = images.composition
    origins, left_out = dict(composition.origins), list(composition.left_out)
    if images.validation is None and validation:
        origins["validation"] = "held out of the training images"
    elif images.validation is not None and not validation:
        origins.pop("validation", None)
        unused = plural(len(images.validation.labels), "validation image")
        left_out.append(f"{unused}, not used (--validation 0)")
    return {
        "name": images.name,
        "description": images.description,
        "fingerprint": images.fingerprint,
        "classes": list(images.classes),
        **{split: sum(each) for split, each in counts.items()},
        **{f"{split}_counts": each for split, each in counts.items()},
        "origins": origins,
        "left_out": left_out,
        "warnings": [
            *composition.warnings,
            *_count_warnings(counts, images.classes),
            *_batch_warning(sum(counts["train"]), batch_size),
        ],
        "skipped": list(images.skipped),
    }


def data_lines(data: dict[str, Any]) -> list[str]:
    """Return what `describe_data` describes as lines for the terminal."""
    lines = [f"data: {data['name']}, {data['description']}"]
    for split in SPLITS:
        text = describe_split(data[split], data[f"{split}_counts"], data["classes"])
        origin = data["origins"].get(split)
        lines.append(f"  {split}: {text}{f', {origin}' if origin else ''}")
    lines += [f"  left out: {line}" for line in data["left_out"]]
    return lines + [f"warning: {line}" for line in data["warnings"]]


def _count_warnings(counts: dict[str, list[int]], classes: Sequence[str]) -> list[str]:
    """Return what the numbers of images by split and class warn of."""
    warnings = []
    train, test = counts["train"], counts["test"]
    most, least = max(train), min(train)
    if most >= IMBALANCE * least:
        large, small = classes[train.index(most)], classes[train.index(least)]
        share = test[train.index(most)] / sum(test)
        warnings.append(
            f"imbalance: {most / least:.1f} times as many training images of {large} as of "
            f"{small}; always answering {large} is right on {percent(share)} % of the test images"
        )
    return [*warnings, *few_images(sum(test), "test")]


def _batch_warning(train: int, batch_size: int | None) -> list[str]:
    if batch_size is None or train >= batch_size:
        return []
    return [
        f"{plural(train, 'training image')} and --batch-size {batch_size}: a batch has all of "
        "them, so an epoch is one step; a smaller --batch-size or more --epochs train longer"
    ]


def _counts(labels: Tensor, classes: int) -> list[int]:
    counts: list[int] = torch.bincount(labels, minlength=classes).tolist()
    return counts
