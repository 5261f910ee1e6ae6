"""Results made by hand, without training, by which each claim holds."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.evidence import (
    calibration,
    learning_rate,
    multiclass,
    noise,
    saturation,
    zero_one,
)
from lossbench.benchmarks.evidence.gradients import FORMULAS
from lossbench.benchmarks.records.results import Evaluation
from lossbench.benchmarks.training.curvature import Curvature
from lossbench.benchmarks.training.rate_search import FIRST_SEARCH_SEED
from lossbench.benchmarks.training.result import Predictions, RunResult

World = Callable[[RunConfig], RunResult]


@dataclass
class FakeTrainer:
    """Trainer of claims whose results `world` makes up; keeps the runs that were requested."""

    world: World
    trained: list[RunConfig] = field(default_factory=list)
    searched: list[RunConfig] = field(default_factory=list)

    def __call__(self, configs: Sequence[RunConfig]) -> list[RunResult]:
        for config in configs:
            (self.searched if config.seed >= FIRST_SEARCH_SEED else self.trained).append(config)
        return [self.world(config) for config in configs]


def evaluation(step: int, accuracy: float = 0.5, gradient: float = 0.5, **known: Any) -> Evaluation:
    values = dict.fromkeys(("train_accuracy", "validation_accuracy"), accuracy)
    values |= dict.fromkeys(("logit_mean_abs", "logit_when_wrong", "parameter_norm"), gradient)
    return Evaluation(loss="mse", seed=0, step=step, epoch=step / 100, **values | known)


def result(config: RunConfig, test: Predictions | None = None, **known: Any) -> RunResult:
    """A result with these predictions for the validation images and, if asked for, the test."""
    values: dict[str, Any] = {
        "evaluations": (evaluation(0), evaluation(100, 0.7, 0.3)),
        "parameter_distance": 1.0,
        "parameters": 100,
        "counts": (900, 900),
        "validation": test,
        "test": test if config.test else None,
        "examples": None,
        "seconds": 1.0,
    }
    return RunResult(config=config, **values | known)


def one_logit(z: np.ndarray, labels: np.ndarray) -> Predictions:
    """The predictions of a network with one logit."""
    f = 1 / (1 + np.exp(-z.astype(np.float64)))
    probabilities = np.stack([1 - f, f], 1).astype(np.float32)
    return Predictions(
        z.astype(np.float32)[:, None],
        probabilities,
        (z > 0).astype(np.int64),
        labels.astype(np.int64),
    )


def correct_in(share: float, count: int = 1000) -> Predictions:
    """Predictions of which this share is right, for images of which half are cats."""
    labels = np.arange(count) % 2
    right = np.arange(count) < round(share * count)
    return one_logit(np.where(right, 2.0, -2.0) * (2 * labels - 1), labels)


def with_recalls(
    config: RunConfig, recalls: Sequence[float], confidence: float = 0.8, count: int = 500
) -> RunResult:
    """A result with `count` images per class, of which the share `recalls[class]` is right.

    Each seed errs on a few others.
    """
    classes = len(recalls)
    labels = np.arange(classes * count) % classes
    hard = np.random.default_rng(5).permuted(np.arange(count))
    draw = np.random.default_rng((config.seed, *config.loss.encode()))
    rank = (hard + draw.normal(0, 0.004 * count, count)) / count
    right = rank[np.arange(len(labels)) // classes] < np.array(recalls)[labels]
    predicted = np.where(right, labels, (labels + 1) % classes)
    p = np.full((len(labels), classes), (1 - confidence) / (classes - 1))
    p[np.arange(len(labels)), predicted] = confidence
    outputs = np.log(np.clip(p, 1e-9, 1)).astype(np.float32)
    if classes == 2:
        outputs = outputs[:, 1:] - outputs[:, :1]
    counts = [900] * classes
    counts[1] = round(900 / config.imbalance)
    predictions = Predictions(outputs, p.astype(np.float32), predicted, labels)
    return result(config, predictions, counts=tuple(counts))


def zero_one_world(config, *, distance=0.0, gradient=0.0, change=0.0, learns=0.2):
    """Nothing changes but what is given; with cross-entropy networks learn."""
    if config.loss == zero_one.REFERENCE:
        end, gradient, distance = 0.5 + learns + 0.01 * (config.seed % 3), 0.4, 2.0
    else:
        end = 0.5 + change * (config.model == zero_one.PLAIN)
    evaluations = (evaluation(0, 0.5, gradient), evaluation(100, end, gradient))
    known = {"evaluations": evaluations, "parameter_distance": distance}
    return result(config, correct_in(end), **known)


def formula_examples(config, odds, change=lambda _, magnitude: magnitude):
    """Recorded examples with the gradients of the formula; half of them are cats."""
    t = np.arange(len(odds)) % 2
    odds = odds.astype(np.float32).astype(float)
    magnitude = change(odds, FORMULAS[config.loss].magnitude(odds))
    z, g = (2 * t - 1) * odds, np.where(t == 1, -1, 1) * magnitude
    return np.stack([np.zeros(len(odds)), z, t, g], 1).astype(np.float32)


def probability_sum_world(config, *, trained=0.7, freed=0.7, change=None, keep=lambda odds: odds):
    """`change(config, odds, |dL/dz|)` replaces the gradients, `keep` the examples.

    `trained` is the accuracy of the sum from a normal start, `freed` that of cross-entropy from a
    wrong one.
    """
    ours = config.loss == "probability-sum"
    wrong = config.initial_probability is not None
    share = (0.5 if wrong else trained) if ours else (freed if wrong else 0.74)
    share += 0.005 * ((config.seed * (1 + wrong + 2 * ours)) % 5)
    odds = keep(5 * np.random.default_rng(config.seed).normal(size=400))
    replaced = (lambda odds, g: change(config, odds, g)) if change else (lambda _, g: g)
    return result(
        config,
        correct_in(share),
        evaluations=tuple(
            evaluation(step, accuracy, gradient, validation_loss=1 - accuracy)
            for step, accuracy, gradient in ((0, 0.5, 0.25), (100, share, 0.1))
        ),
        examples=formula_examples(config, odds, replaced),
    )


def ordinary_predictions(seed=0, count=300, size=2.0):
    """Two in three right, logits normally distributed about that."""
    labels = np.arange(count) % 2
    draw = np.random.default_rng(seed)
    return one_logit(draw.normal(size * (2 * labels - 1) / 2, size), labels)


def jitter(config):
    """A factor from 1 to 1.2 that differs between all networks."""
    start = round(1e6 * (config.initial_probability or 0))
    draw = np.random.default_rng((config.seed, start, *(config.loss + config.optimizer).encode()))
    return draw.uniform(1, 1.2)


LEARNED = 1e-4
"""Probability of the right class after training on flipped labels."""


def steps_needed(config):
    """Steps grow with the logarithm of the wrong odds; of sigmoid-mse with their root, and with
    Adam with a smaller one."""
    p = config.initial_probability or LEARNED
    odds = (1 - p) / p
    best = 0.003 if config.optimizer == "adam" else 0.3
    off = 1 + abs(math.log10(config.learning_rate / best))
    root = 6 if config.optimizer == "adam" else 3
    slow = odds ** (1 / root) if config.loss == saturation.OTHER else 1
    return (60 + 5 * math.log(odds)) * slow * off * jitter(config)


def until(needed, accuracy=0.6, last=4200):
    """Evaluations every 10 steps up to the first one at or after `needed`, at most to `last`."""
    evaluations = [evaluation(0)]
    for step in range(10, last + 1, 10):
        evaluations.append(evaluation(step, accuracy + 0.01 if step >= needed else 0.5))
        if step >= needed:
            break
    return tuple(evaluations)


def saturation_world(config, *, needed=steps_needed, change=lambda _, magnitude: magnitude):
    even = math.log((1 - config.initial_probability) / config.initial_probability)
    side = np.where(np.arange(300) % 2, -1, 1)
    odds = np.random.default_rng(config.seed).normal(even, 1.5, 300) * side
    examples = formula_examples(config, odds, change)
    return result(config, evaluations=until(needed(config)), examples=examples)


def interactions_world(config, *, needed=steps_needed):
    return result(config, evaluations=until(needed(config), config.stop_at_accuracy))


def curvature_world(config, *, change=lambda _, curvature: curvature):
    """The wrong start of sigmoid-mse has a short gradient, as clear as that of cross-entropy, and
    a negative curvature."""
    wrong, mse = config.initial_probability < 0.1, config.loss == saturation.OTHER
    norm = (2e-4 if mse else 2.0) if wrong else 0.25
    growth = (4.0 if mse else 0.0) if wrong else -5.0
    factor = jitter(config)
    curvature = Curvature(norm, factor * (2.5 if wrong else 0.4), -factor * growth * norm)
    return result(config, curvature=change(config, curvature))


def two(z):
    """The two logits whose difference is z."""
    return torch.stack([-z / 2, z / 2], 1)


TORCH = {
    "cross-entropy": lambda z, t: F.cross_entropy(two(z), t.long(), reduction="none"),
    "nll": lambda z, t: F.nll_loss(F.log_softmax(two(z), 1), t.long(), reduction="none"),
    "bce": lambda z, t: F.binary_cross_entropy(torch.sigmoid(z), t, reduction="none"),
    "bce-with-logits": lambda z, t: F.binary_cross_entropy_with_logits(z, t, reduction="none"),
    "bernoulli-sum": lambda z, t: F.binary_cross_entropy(
        two(z).softmax(1), F.one_hot(t.long(), 2).to(z.dtype), reduction="none"
    ).sum(1),
    "probability-sum": lambda z, t: 1 - torch.sigmoid((2 * t - 1) * z),
    "sigmoid-mse": lambda z, t: (torch.sigmoid(z) - t) ** 2 / 2,
    "softmax-mse": lambda z, t: ((two(z).softmax(1) - F.one_hot(t.long(), 2)) ** 2).sum(1),
    "mse": lambda z, t: (z - (2 * t - 1)) ** 2,
    "zero-one": lambda z, t: 0 * z + ((z > 0) != t.bool()),
}
"""The ten losses in torch, with respect to the margin z."""


def torch_examples(config, count=3000):
    """Examples with torch's gradients in float64, about where the run starts."""
    draw = torch.Generator().manual_seed(config.seed)
    z = 2 * torch.randn(count, generator=draw, dtype=torch.float64)
    z = z if config.initial_probability is None else z - 6
    z = z.float().double().requires_grad_()
    t = torch.randint(0, 2, (count,), generator=draw).double()
    (g,) = torch.autograd.grad(TORCH[config.loss](z, t).sum(), z)
    return torch.stack([torch.zeros(count), z.detach(), t, g], 1).numpy().astype(np.float32)


def error_driven_world(config, *, change=lambda _, rows: rows):
    return result(config, examples=change(config, torch_examples(config)))


MULTICLASS = dict(zip(multiclass.LOSSES, (0.600, 0.596, 0.560, 0.590), strict=True))


def multiclass_world(config, *, change=()):
    share = (MULTICLASS | dict(change))[config.loss]
    found = with_recalls(config, [share] * 10, count=200)
    if found.test is None:
        return found
    # Outputs that differ from class to class, so that gradients have other directions.
    z = np.random.default_rng(config.seed).normal(0, 2, size=found.test.outputs.shape)
    return replace(found, test=replace(found.test, outputs=z.astype(np.float32)))


SQUARE_LOSS = {"mse": 0.735, "cross-entropy": 0.74, "sigmoid-mse": 0.69}


def square_loss_world(config, **shares):
    share = SQUARE_LOSS | {name.replace("_", "-"): share for name, share in shares.items()}
    return with_recalls(config, [share[config.loss]] * 2, count=1000)


def other_classes_accuracy_world(config, *, trained=0.5, **shares):
    """`trained` is the accuracy of the sum of probabilities from a wrong start."""
    if config.loss == "probability-sum":
        return with_recalls(config, [trained] * 2, count=1000)
    return square_loss_world(config, **shares)


NOISE = {
    "cross-entropy": (0.62, 0.30),
    "generalized-cross-entropy": (0.60, 0.45),
    "symmetric-cross-entropy": (0.61, 0.44),
}


def noise_world(config, *, change=()):
    """Shares that are right without wrong labels and with the most, and a line between them."""
    clean, wrong = (NOISE | dict(change))[config.loss]
    share = clean + (wrong - clean) * config.label_noise / noise.NOISY
    return with_recalls(config, [share] * 10, count=200)


IMBALANCE = {
    "plain": (0.98, 0.10),
    "shifted": (0.70, 0.70),
    "weighted": (0.70, 0.66),
    "focal": (0.97, 0.14),
    "logit-adjusted": (0.68, 0.69),
}
"""Recalls of dogs and of cats; 'shifted' are the plain networks with another threshold."""


def method_of(config):
    if config.loss == "cross-entropy":
        return "weighted" if config.loss_arguments else "plain"
    return "focal" if config.loss == "softmax-focal" else "logit-adjusted"


def imbalance_world(config, *, change=()):
    recalls = IMBALANCE | dict(change)
    method = method_of(config)
    found = with_recalls(config, recalls[method])
    if method == "plain":
        # z > 0 for what plain networks call a cat, and z > -ln ratio for what shifted ones do.
        shifted = with_recalls(config, recalls["shifted"]).validation
        cat = found.validation.predicted == 1
        z = np.where(cat, 1.0, np.where(shifted.predicted == 1, -1.0, -9.0))
        test = replace(one_logit(z, found.validation.labels), predicted=found.validation.predicted)
        found = replace(found, validation=test, test=test if config.test else None)
    return found


CONFIDENCES = dict.fromkeys(calibration.PROPER, 0.77) | {
    "softmax-focal": 0.60,
    "label-smoothing": 0.70,
    "generalized-cross-entropy": 0.97,
    "probability-sum": 0.99,
}
"""Mean confidence of each loss, whose accuracy is 75 %."""


def calibration_world(config, *, change=(), accuracy=()):
    confidence = (CONFIDENCES | dict(change))[config.loss] + 0.002 * (config.seed % 3)
    share = dict(accuracy).get(config.loss, 0.75)
    return with_recalls(config, [share] * 2, confidence)


BEST_RATES = {learning_rate.REFERENCE: 0.05, learning_rate.OTHER: 0.3}


def learning_rate_world(config, *, best=BEST_RATES, peak=0.70, other=0.70, width=1.0, jitter=0.002):
    """Accuracy falls by 7 points per decade squared around the best rate of a loss.

    sigmoid-mse has its own peak, and cross-entropy a range that is `width` times as wide.
    """
    decades = math.log10(config.learning_rate / best[config.loss])
    top = other if config.loss == learning_rate.OTHER else peak
    decades /= width if config.loss == learning_rate.REFERENCE else 1.0
    share = max(0.5, top - 0.07 * decades**2)
    share += jitter * ((7 * config.seed + len(config.loss)) % 5 - 2)
    evaluations = (evaluation(0, 0.5, 0.5), evaluation(100, share, 0.3))
    return result(config, correct_in(share), evaluations=evaluations)


WORLDS: dict[str, World] = {
    "zero-one": zero_one_world,
    "probability-sum": probability_sum_world,
    "likelihood": lambda config: result(config, ordinary_predictions(config.seed)),
    "saturation": saturation_world,
    "learned-confidence": interactions_world,
    "depth": interactions_world,
    "other-classes": interactions_world,
    "other-classes-accuracy": other_classes_accuracy_world,
    "curvature": curvature_world,
    "optimiser": saturation_world,
    "error-driven": error_driven_world,
    "multiclass": multiclass_world,
    "square-loss": square_loss_world,
    "noise": noise_world,
    "imbalance": imbalance_world,
    "calibration": calibration_world,
    "learning-rate": learning_rate_world,
}
