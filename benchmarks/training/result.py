"""One training as a value: what is trained, and what came of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RunConfig:
    """A network trained once: one loss, one seed, one learning rate.

    Two trials that differ only in loss, settings and rate are paired: they share the initial
    function, the batches with their augmentation and order, the held-out images, the noise.

    Attributes:
        loss: a registered name. settings: arguments of its module beyond the entry's own, as
            (name, value) pairs; a tuple of numbers becomes a tensor.
        seed: of the weights, the batches, and what is drawn of the labels and the images.
        learning_rate: the peak of the one-cycle schedule.
        data, image_size: as `open_images` takes them; None is the source's own size.
        model, width: as `models.build` takes them.
        epochs: passes over the images that are trained on. batch_size: images a step.
        augmentation: 'shift' or 'photographs' (benchmarks.data.augment), or 'none'.
        weight_decay: of the optimiser.
        test_time_augmentation: by which views of an image it is judged, those of `judging.views`.
        begin_at: the probability of class 1 with which a model of two classes begins, whatever
            it is shown; None leaves the head as it was drawn.
        validation: the share of the training images of each class that is held out. 0: none is.
        train_images: no more training images than this, as many of each class as of any other.
        label_noise: the share of training labels replaced by another class, drawn evenly.
        imbalance: how many images of class 0 there are for one of class 1 in training; class 1
            is thinned out. Two classes only.
        evaluations: on the validation images in an epoch, beside the last one.
        enough: the training ends at the first evaluation whose validation accuracy is at least
            this; None: never early.
        pairs: whether `RunResult.pairs` is kept.
        test: whether the trained network is asked about the test images, once, at the end.
        precision: 'float32', or 'bfloat16' for the layers in training (torch.autocast); the outputs
            and the loss are float32 in any case, and so is what the network is judged by.
        channels_last: whether a pixel's channels lie beside each other in memory.
        compile: whether torch.compile compiles the network for training.
        cuda_graphs: whether a step is a CUDA graph where it can be one: on one CUDA device, with a
            loss and a model of lossbench's own. It changes nothing but the time.
    """

    loss: str
    seed: int
    learning_rate: float
    settings: tuple[tuple[str, Any], ...] = ()
    data: str = "cifar10"
    image_size: int | None = None
    model: str = "convnet"
    width: int | None = None
    epochs: int = 2
    batch_size: int = 64
    augmentation: str = "shift"
    weight_decay: float = 0.0
    test_time_augmentation: str = "none"
    begin_at: float | None = None
    validation: float = 0.1
    train_images: int | None = None
    label_noise: float = 0.0
    imbalance: float = 1.0
    evaluations: int = 4
    enough: float | None = None
    pairs: bool = False
    test: bool = False
    precision: str = "float32"
    channels_last: bool = True
    compile: bool = False
    cuda_graphs: bool = True

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON knows them."""
        return dataclasses.asdict(self)

    def key(self, *, of: str = "") -> str:
        """A name for files: SHA-256 (first 20 hex digits) of the fields and of the text `of`."""
        text = json.dumps(self.to_json(), sort_keys=True) + of
        return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True)
class Predictions:
    """What a network said of a split, in the split's order.

    Attributes:
        outputs: float32 (N, columns), what the last layer gave.
        probabilities: float32 (N, classes), as the loss reads the outputs; rows sum to 1.
        predicted, labels: int64 (N,), classes.
    """

    outputs: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Which are right, (N,)."""
        right: NDArray[np.bool_] = self.predicted == self.labels
        return right

    @property
    def accuracy(self) -> float:
        """The share of right ones, NaN of a network that has diverged."""
        return float(self.right.mean()) if np.isfinite(self.outputs).all() else float("nan")


@dataclass(frozen=True)
class Point:
    """An evaluation after `step` steps. The training figures are means over the steps since the
    point before, in the first those of the step that follows it; what was not measured is NaN."""

    step: int
    epoch: float
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    logit_mean_abs: float
    logit_when_wrong: float
    vanished_fraction: float
    parameter_norm: float
    seconds: float = math.nan
    """Of training so far, evaluations and the turns of others excluded."""


@dataclass(frozen=True)
class RunResult:
    """What came of a trial.

    Attributes:
        trial: that which was trained.
        points: by rising step, the start first and the end last.
        moved: Euclidean distance of all parameters from where they began.
        parameters: how many the model has, with the head of this loss.
        counts: images of each class that were trained on, by their true label.
        validation, test: what the trained network says of them, None where there is none.
        test_loss: the mean of the loss over the test images, NaN where it was not asked.
        pairs: float32 (M, 4), a row for each of some training examples of every logging window:
            step, margin z (the logit of class 1, for two outputs z1 - z0), target t (0 or 1),
            dL/dz of that example's loss. Two classes only; None unless asked for.
        seconds: of training, evaluations excluded, and the turns of runs side by side.
    """

    trial: RunConfig
    points: tuple[Point, ...]
    moved: float
    parameters: int
    counts: tuple[int, ...]
    validation: Predictions | None
    test: Predictions | None
    pairs: NDArray[np.float32] | None
    seconds: float
    test_loss: float = math.nan
