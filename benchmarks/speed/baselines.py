"""Training loop of lossbench relative to a plain loop over ImageFolder and a DataLoader.

Runs in several processes are measured relative to sequential ones as well. The images are noise:
only time is measured.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from lossbench import models
from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet, Split, open_images
from lossbench.benchmarks.data.augment_photos import crop_size
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.executors.pool import Pool
from lossbench.benchmarks.training.optimizer import MOMENTUM
from lossbench.benchmarks.training.train import train

from .interleaved import Ratio, Work, time_ratio

BATCH_SIZE = 128


@contextmanager
def image_folder(count: int, size: int, suffix: str) -> Iterator[Path]:
    """Provide a directory of `count` files in two classes: blurred noise of `size` pixels."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        for number in range(count):
            directory = Path(name) / ("cat", "dog")[number % 2]
            directory.mkdir(exist_ok=True)
            coarse = rng.integers(0, 256, (size // 8, size // 8, 3), dtype=np.uint8)
            image = Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC)
            image.save(directory / f"{number}.{suffix}", quality=90)
        yield Path(name)


def noise_images(count: int, size: int) -> ImageSet:
    """Return `count` images of noise in two classes."""
    rng = np.random.default_rng(0)
    return image_set(rng.integers(0, 256, (count, size, size, 3), dtype=np.uint8))


def image_set(images: np.ndarray) -> ImageSet:
    """Return decoded images (N, H, W, 3) as a data set in which every second one is a cat."""
    labels = np.arange(len(images), dtype=np.uint8) % 2
    split = Split(images, labels, ("",) * len(images))
    return ImageSet(
        name="noise",
        description="noise",
        synthetic=True,
        fingerprint="",
        image_size=images.shape[1],
        train=split,
        validation=None,
        test=split,
        skipped=(),
        classes=("dog", "cat"),
    )


def lossbench_epoch(images: np.ndarray, augmentation: Any) -> Work:
    """Return a training of one epoch on decoded images, as `lossbench compare` makes it."""
    dataset = prepare(image_set(images), torch.device("cpu"), validation=0.0)
    config = RunConfig(
        "bce-with-logits", 0, 1e-3, epochs=1, batch_size=BATCH_SIZE, augmentation=augmentation
    )
    return lambda: train(config, dataset)


def dataloader_epoch(directory: Path, size: int, *, photographs: bool) -> Work:
    """Return an epoch of the same network in a plain loop over ImageFolder and a DataLoader.

    Its two worker processes stay from epoch to epoch.
    """
    crop = (
        v2.RandomResizedCrop(size, antialias=True)
        if photographs
        else v2.RandomCrop(size, padding=size // 8, padding_mode="reflect")
    )
    transform = v2.Compose(
        [
            v2.ToImage(),
            crop,
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    loader = torch.utils.data.DataLoader(
        ImageFolder(directory, transform),
        BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )
    model = models.build("convnet", num_outputs=1).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=MOMENTUM, nesterov=True)
    loss_function = nn.BCEWithLogitsLoss()

    def epoch() -> None:
        for images, targets in loader:
            logits = model(images.contiguous(memory_format=torch.channels_last))
            loss = loss_function(logits.flatten(), targets.float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def small_images(seconds: float) -> Ratio:
    """Measure the DataLoader's epoch relative to ours: files of 32 px, like CIFAR-10's."""
    with image_folder(2048, 32, "png") as directory:
        files = sorted(directory.rglob("*.png"))
        decoded = np.stack([np.asarray(Image.open(file)) for file in files])
        theirs = dataloader_epoch(directory, 32, photographs=False)
        return time_ratio(theirs, lossbench_epoch(decoded, "shift"), seconds, min_pairs=5)


def photographs(seconds: float) -> Ratio:
    """Measure the DataLoader's epoch relative to ours after the first: photographs of 400 px.

    Ours has them decoded by then, at 64 px; both train on crops of `crop_size(64)`.
    """
    with image_folder(1024, 400, "jpg") as directory:
        files = sorted(directory.rglob("*.jpg"))
        size = (64, 64)
        decoded = np.stack([np.asarray(Image.open(file).resize(size)) for file in files])
        theirs = dataloader_epoch(directory, crop_size(64), photographs=True)
        return time_ratio(theirs, lossbench_epoch(decoded, "photographs"), seconds, min_pairs=5)


def runs_in_processes(_seconds: float) -> Ratio:
    """Measure sequential runs, with all threads each, relative to processes of one thread each."""

    def configs(first_seed: int) -> list[RunConfig]:
        config = RunConfig(
            "cross-entropy", first_seed, 0.1, data="synthetic", train_images=2000, epochs=1
        )
        return [replace(config, seed=first_seed + k) for k in range(4)]

    images = open_images("synthetic", None, say=lambda _: None)
    dataset = prepare(images, torch.device("cpu"), train_images=2000)
    ratios = []
    with (
        tempfile.TemporaryDirectory() as name,
        Pool(Path(name), torch.device("cpu"), Reporter()) as pool,
    ):
        pool.train(configs(0))
        for repetition in range(1, 6):
            runs = configs(10 * repetition)
            start = time.perf_counter()
            pool.train(runs)
            middle = time.perf_counter()
            for config in runs:
                train(config, dataset)
            ratios.append((time.perf_counter() - middle) / (middle - start))
    return Ratio.of(ratios)
