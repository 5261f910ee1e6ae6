"""How long a training takes until a share of CIFAR-10's cats and dogs is told apart, beside the
straightforward recipe: the same network for as many epochs in a plain loop over a DataLoader.

The test images are looked at after every epoch of both, which is what makes it a time to an
accuracy and no accuracy to report. The looking is not timed.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lossbench import models
from lossbench.benchmarks.config import CompareConfig
from lossbench.benchmarks.data import ImageSet, Split, open_images
from lossbench.benchmarks.data.batches import prepare
from lossbench.benchmarks.presets import PRESETS
from lossbench.benchmarks.records.experiment import cpu_count
from lossbench.benchmarks.training.result import RunConfig
from lossbench.benchmarks.training.step import MOMENTUM
from lossbench.benchmarks.training.train import train

from .interleaved import Ratio

ACCURACY = 0.88
# Of the recipe for CIFAR-10 in He et al. 2016 (arXiv 1512.03385), section 4.2.
BATCH, RATE, WEIGHT_DECAY = 128, 0.1, 1e-4
MOST_WORKERS = 8
# Of CIFAR-10's training images, channel by channel, as recipes for it state them.
MEAN, SPREAD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)


class Reached(NamedTuple):
    """The accuracy that a training ended with, and its seconds: as soon as it was enough, or at the
    end of all epochs."""

    seconds: float
    accuracy: float

    def __str__(self) -> str:
        return f"{100 * self.accuracy:.2f} % after {self.seconds:.1f} s"


def measure(_seconds: float) -> Ratio:
    """Time of the straightforward recipe over that of `compare --preset cifar-full`, once each, on
    CUDA. A recipe that doesn't get there has its whole time counted: it takes longer yet."""
    images, device = open_images("cifar10", 32, say=lambda _: None), torch.device("cuda")
    trial = preset_trial()
    ours = preset(images, trial, device, ACCURACY)
    theirs = straightforward(images, trial, device, ACCURACY)
    times = theirs.seconds / ours.seconds if ours.accuracy >= ACCURACY else math.nan
    note = f"lossbench {ours}; straightforward {theirs}"
    return replace(Ratio.of([times] * 2), note=note)


def preset_trial() -> RunConfig:
    """As `lossbench compare --preset cifar-full` trains its only run."""
    config = CompareConfig(**PRESETS["cifar-full"])
    (loss,) = PRESETS["cifar-full"]["losses"]
    return config.run_config(loss, 0, config.learning_rate)


def preset(images: ImageSet, trial: RunConfig, device: torch.device, enough: float) -> Reached:
    """Our training, until `enough` of the test images are right."""
    material = prepare(replace(images, validation=images.test), device, validation=0.5)
    trial = replace(trial, enough=enough, evaluations=1, test=False)
    outcome = train(trial, material)
    last = outcome.points[-1]
    return Reached(outcome.seconds, last.validation_accuracy)


def straightforward(
    images: ImageSet, trial: RunConfig, device: torch.device, enough: float
) -> Reached:
    """The recipe's: shifted and mirrored images from a DataLoader, SGD with momentum, float32; with
    a cosine from its rate to 0 in place of its steps, as has become usual."""
    torch.manual_seed(trial.seed)
    loader = loader_of(images.train, device)
    model = models.build(trial.model, num_outputs=1, width=trial.width).to(device)
    optimiser = torch.optim.SGD(
        model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, trial.epochs)
    loss_of = nn.BCEWithLogitsLoss()
    seconds = accuracy = 0.0
    for _ in range(trial.epochs):
        began = time.perf_counter()
        for pixels, targets in loader:
            logits = model(pixels.to(device, non_blocking=True)).flatten()
            loss = loss_of(logits, targets.to(device, non_blocking=True))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds += time.perf_counter() - began
        accuracy = accuracy_of(model, images.test, device)
        if accuracy >= enough:
            break
    return Reached(seconds, accuracy)


class _Pictures(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """The pictures of a split in memory, transformed when they are asked for."""

    def __init__(self, split: Split, transform: Any) -> None:
        self.split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self.split.labels)

    def __getitem__(self, at: int) -> tuple[Tensor, Tensor]:
        picture = self.split.images[at].copy()  # that can be written to, which torch wants
        return self.transform(picture), torch.tensor(float(self.split.labels[at]))


def loader_of(split: Split, device: torch.device) -> Any:
    from torchvision.transforms import v2

    transform = v2.Compose(
        [
            v2.ToImage(),
            v2.RandomCrop(split.images.shape[1], padding=4),
            v2.RandomHorizontalFlip(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, SPREAD),
        ]
    )
    return torch.utils.data.DataLoader(
        _Pictures(split, transform),
        BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=min(MOST_WORKERS, cpu_count()),
        persistent_workers=True,
        pin_memory=device.type == "cuda",
    )


@torch.no_grad()
def accuracy_of(model: nn.Module, split: Split, device: torch.device) -> float:
    """The share of a split's images that are right, of images as they are."""
    mean, spread = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in (MEAN, SPREAD))
    model.eval()
    right = 0
    for at in range(0, len(split.labels), 512):
        images = torch.from_numpy(split.images[at : at + 512].copy()).to(device)
        pixels = (images.permute(0, 3, 1, 2).float() / 255 - mean) / spread
        labels = torch.from_numpy(split.labels[at : at + 512].copy()).to(device)
        right += int(((model(pixels).flatten() > 0) == labels.bool()).sum())
    model.train()
    return right / len(split.labels)
