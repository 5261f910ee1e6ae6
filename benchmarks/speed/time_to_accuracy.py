"""Training time to an accuracy on CIFAR-10's cats and dogs, relative to the straightforward recipe.

The recipe trains the same network for as many epochs in a plain loop over a DataLoader. Both are
evaluated on the test images after every epoch, so this is a time to an accuracy and no accuracy to
report. Evaluation is not timed.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from lossbench import models
from lossbench.benchmarks.config import CompareConfig, RunConfig, rates_of
from lossbench.benchmarks.data import ImageSet, Split, open_images
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.presets import PRESETS
from lossbench.benchmarks.records.environment import cpu_count
from lossbench.benchmarks.training.optimizer import MOMENTUM
from lossbench.benchmarks.training.train import train

from .interleaved import Ratio

ACCURACY = 0.88
# The recipe for CIFAR-10 in He et al. 2016 (arXiv 1512.03385), section 4.2.
BATCH_SIZE, LEARNING_RATE, WEIGHT_DECAY = 128, 0.1, 1e-4
MAX_WORKERS = 8
# Statistics of CIFAR-10's training images per channel, as recipes for it state them.
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class TrainingTime(NamedTuple):
    """Seconds of a training, and the accuracy that it ended with."""

    seconds: float
    accuracy: float

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.2f} % after {self.seconds:.1f} s"


def measure(_seconds: float) -> Ratio:
    """Measure the recipe's time relative to that of `compare --preset cifar-full`, on CUDA.

    Each trains once. The ratio is NaN if ours does not reach `ACCURACY`; if the recipe does not,
    its whole time counts, which is a lower bound.
    """
    images, device = open_images("cifar10", 32, say=lambda _: None), torch.device("cuda")
    config = preset_config()
    ours = train_preset(images, config, device, ACCURACY)
    theirs = train_recipe(images, config, device, ACCURACY)
    ratio = theirs.seconds / ours.seconds if ours.accuracy >= ACCURACY else math.nan
    return Ratio.single(ratio, note=f"lossbench {ours}; straightforward {theirs}")


def preset_config() -> RunConfig:
    """Return the only run of `lossbench compare --preset cifar-full`."""
    config = CompareConfig(**PRESETS["cifar-full"])
    (loss,) = PRESETS["cifar-full"]["losses"]
    return config.run_config(loss, 0, rates_of(config)[0])


def train_preset(
    images: ImageSet, config: RunConfig, device: torch.device, accuracy: float
) -> TrainingTime:
    """Train with lossbench until the accuracy on the test images is reached, or to the end."""
    dataset = prepare(replace(images, validation=images.test), device, validation=0.5)
    config = replace(config, stop_at_accuracy=accuracy, evaluations=1, test=False)
    result = train(config, dataset)
    return TrainingTime(result.seconds, result.evaluations[-1].validation_accuracy)


def train_recipe(
    images: ImageSet, config: RunConfig, device: torch.device, accuracy: float
) -> TrainingTime:
    """Train with the recipe until the accuracy on the test images is reached, or to the end.

    Shifted and mirrored images come from a DataLoader; SGD with momentum trains in float32. A
    cosine from the learning rate to 0 takes the place of the paper's steps, as is common today.
    """
    torch.manual_seed(config.seed)
    loader = recipe_loader(images.train, device)
    model = models.build(config.model, num_outputs=1, width=config.width).to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs)
    loss_function = nn.BCEWithLogitsLoss()
    seconds = reached = 0.0
    for _ in range(config.epochs):
        start = time.perf_counter()
        for pixels, targets in loader:
            logits = model(pixels.to(device, non_blocking=True)).flatten()
            loss = loss_function(logits, targets.to(device, non_blocking=True))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds += time.perf_counter() - start
        reached = evaluate_accuracy(model, images.test, device)
        if reached >= accuracy:
            break
    return TrainingTime(seconds, reached)


class _SplitDataset(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Images of a split in memory, transformed on access."""

    def __init__(self, split: Split, transform: Any) -> None:
        self.split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image = self.split.images[index].copy()  # torch warns about memory that it cannot write to
        return self.transform(image), torch.tensor(float(self.split.labels[index]))


def recipe_loader(split: Split, device: torch.device) -> Any:
    """Return the recipe's DataLoader."""
    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomCrop(split.images.shape[1], padding=4),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )
    return torch.utils.data.DataLoader(
        _SplitDataset(split, transform),
        BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=min(MAX_WORKERS, cpu_count()),
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )


@torch.no_grad()
def evaluate_accuracy(model: nn.Module, split: Split, device: torch.device) -> float:
    """Return the accuracy on a split, without augmentation."""
    mean, std = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in (MEAN, STD))
    model.eval()
    correct = 0
    for start in range(0, len(split.labels), 512):
        images = torch.from_numpy(split.images[start : start + 512].copy()).to(device)
        pixels = (images.permute(0, 3, 1, 2).float() / 255 - mean) / std
        labels = torch.from_numpy(split.labels[start : start + 512].copy()).to(device)
        correct += int(((model(pixels).flatten() > 0) == labels.bool()).sum())
    model.train()
    return correct / len(split.labels)
