"""The training loop of lossbench beside the usual one: a folder of pictures, torchvision's
transforms and a DataLoader. And runs of a comparison in processes beside one after the other.

The pictures are noise: what is measured is time, and nothing is learnt from them.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from lossbench import models
from lossbench.benchmarks.console import Reporter
from lossbench.benchmarks.data import ImageSet, Split, open_images
from lossbench.benchmarks.data.augment_photos import crop_size
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.training.executors.pool import Pool
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.step import MOMENTUM
from lossbench.benchmarks.training.train import train

from .interleaved import Ratio, Work, ratio

BATCH = 128


@contextmanager
def folder(count: int, side: int, suffix: str) -> Iterator[Path]:
    """A directory of `count` pictures in two classes, blurred noise of `side` pixels."""
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        for k in range(count):
            place = Path(name) / ("cat", "dog")[k % 2]
            place.mkdir(exist_ok=True)
            coarse = generator.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
            picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
            picture.save(place / f"{k}.{suffix}", quality=90)
        yield Path(name)


def noise_set(count: int, side: int) -> ImageSet:
    """`count` pictures of noise in two classes."""
    generator = np.random.default_rng(0)
    return image_set(generator.integers(0, 256, (count, side, side, 3), dtype=np.uint8))


def image_set(pictures: np.ndarray) -> ImageSet:
    """Decoded pictures, every second of them a cat."""
    labels = np.arange(len(pictures), dtype=np.uint8) % 2
    split = Split(pictures, labels, ("",) * len(pictures))
    return ImageSet(
        name="noise",
        description="noise",
        synthetic=True,
        fingerprint="",
        image_size=pictures.shape[1],
        train=split,
        validation=None,
        test=split,
        skipped=(),
        classes=("dog", "cat"),
    )


def our_epoch(pictures: np.ndarray, augmentation: Any) -> Work:
    """A training of one epoch as `lossbench compare` makes it, on decoded pictures."""
    material = prepare(image_set(pictures), torch.device("cpu"), validation=0.0)
    trial = RunConfig(
        "bce-with-logits", 0, 1e-3, epochs=1, batch_size=BATCH, augmentation=augmentation
    )
    return lambda: train(trial, material)


def usual_epoch(pictures: Path, side: int, *, photographs: bool) -> Work:
    """The same network in a plain loop over ImageFolder, transforms and two loading processes,
    which stay from epoch to epoch."""
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    cut = (
        v2.RandomResizedCrop(side, antialias=True)
        if photographs
        else v2.RandomCrop(side, padding=side // 8, padding_mode="reflect")
    )
    transform = v2.Compose(
        [
            v2.ToImage(),
            cut,
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize([0.5] * 3, [0.25] * 3),
        ]
    )
    loader = torch.utils.data.DataLoader(
        ImageFolder(pictures, transform),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )
    model = models.build("convnet", num_outputs=1).to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=MOMENTUM, nesterov=True)
    loss_of = nn.BCEWithLogitsLoss()

    def epoch() -> None:
        for pixels, targets in loader:
            logits = model(pixels.contiguous(memory_format=torch.channels_last))
            loss = loss_of(logits.flatten(), targets.float())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return epoch


def small_pictures(seconds: float) -> Ratio:
    """Time of the usual epoch over ours: files of 32 px, as CIFAR-10's."""
    with folder(2048, 32, "png") as place:
        files = sorted(place.rglob("*.png"))
        decoded = np.stack([np.asarray(Image.open(file)) for file in files])
        usual = usual_epoch(place, 32, photographs=False)
        return ratio(usual, our_epoch(decoded, "shift"), seconds, least=5)


def photographs(seconds: float) -> Ratio:
    """Time of the usual epoch over ours from the second on, where ours has its pictures decoded:
    photographs of 400 px, cached at 64 px, of which both train on cuts of `crop_size(64)`."""
    with folder(1024, 400, "jpg") as place:
        files = sorted(place.rglob("*.jpg"))
        size = (64, 64)
        decoded = np.stack([np.asarray(Image.open(file).resize(size)) for file in files])
        usual = usual_epoch(place, crop_size(64), photographs=True)
        return ratio(usual, our_epoch(decoded, "photographs"), seconds, least=5)


def many_runs(_seconds: float) -> Ratio:
    """Time of runs one after the other, each with all threads, over that of the pool's processes
    with a thread each."""

    def trials(begin: int) -> list[RunConfig]:
        return [
            RunConfig(
                "cross-entropy", begin + k, 0.1, data="synthetic", train_images=2000, epochs=1
            )
            for k in range(4)
        ]

    images = open_images("synthetic", None, say=lambda _: None)
    material = prepare(images, torch.device("cpu"), train_images=2000)
    ratios = []
    with (
        tempfile.TemporaryDirectory() as name,
        Pool(Path(name), torch.device("cpu"), Reporter()) as pool,
    ):
        pool.train(trials(0))
        for k in range(1, 6):
            began = time.perf_counter()
            pool.train(trials(10 * k))
            between = time.perf_counter()
            for trial in trials(10 * k):
                train(trial, material)
            ratios.append((time.perf_counter() - between) / (between - began))
    return Ratio.of(ratios)
