"""Claim: does it matter how cross-entropy is extended to more than two classes?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.canvas import DPI, RC, render_png
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Finding, verdict_of
from lossbench.benchmarks.stats.intervals import mean_interval, paired_difference
from lossbench.benchmarks.stats.verdict import verdict_equivalent
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.rows import SEEDS, Row, chance_line, draw_rows, draw_tests, heading, label_width
from .measures.contrasts import (
    Contrast,
    Hypothesis,
    contrast,
    evaluate_hypotheses,
    plus_minus,
    table_of,
    with_span,
)
from .measures.networks import accuracies, chance_of, over_seeds, right, tuned

REFERENCE = "cross-entropy"
LOSSES = {
    REFERENCE: "softmax cross-entropy",
    "bernoulli-sum": "sum of Bernoullis",
    "softmax-mse": "softmax squared error",
    "bce-with-logits": "one against the rest",
}


@dataclass(frozen=True)
class Task:
    """Images of several classes.

    Attributes:
        name: name for readers.
        data, image_size, validation: as in `RunConfig`.
        ahead: points by which a loss must be ahead of cross-entropy to count as more accurate. With
            fewer test images only larger differences can be detected.
    """

    name: str
    data: str
    image_size: int | None
    validation: float
    ahead: float


TEN = Task("CIFAR-10", "cifar10-ten", None, 0.04, 1.0)
BREEDS = Task("Oxford-IIIT Pet breeds", "oxford-breeds", 64, 0.2, 5.0)
TASKS = (TEN, BREEDS)

Found = Mapping[tuple[str, str], Sequence[RunResult]]


class Size(NamedTuple):
    """Epochs, images and seeds of a budget for a task; without `images` all images."""

    images: int | None
    epochs: int
    seeds: int
    search_epochs: int


SIZES: dict[Budget, dict[str, Size]] = {
    "quick": {TEN.data: Size(6_000, 2, 4, 1), BREEDS.data: Size(None, 12, 4, 6)},
    "standard": {TEN.data: Size(16_000, 3, 5, 1), BREEDS.data: Size(None, 24, 6, 8)},
    "full": {TEN.data: Size(None, 10, 8, 2), BREEDS.data: Size(None, 60, 12, 20)},
}


def trial_of(loss: str, task: Task, size: Size) -> RunConfig:
    return RunConfig(
        loss=loss,
        seed=0,
        learning_rate=0.1,
        data=task.data,
        image_size=task.image_size,
        epochs=size.epochs,
        validation=task.validation,
        train_images=size.images,
        evaluations=0,
    )


def examine(trainer: Trainer) -> Finding:
    found: dict[tuple[str, str], Sequence[RunResult]] = {}
    for task in TASKS:
        size = SIZES[trainer.budget][task.data]
        trainer.say(f"{task.name}: learning rates, then {len(LOSSES)} losses")
        configs = [trial_of(loss, task, size) for loss in LOSSES]
        rates = tuned(trainer, configs, epochs=size.search_epochs)
        results = over_seeds(trainer, rates, size.seeds)
        found |= {(loss, task.data): o for loss, o in zip(LOSSES, results, strict=True)}
    findings = evaluate_hypotheses(demands_of(found))
    measures = tuple(item.measure for item in findings)
    return Finding(
        verdict_of(measures),
        sentence_of(found),
        measures,
        (
            draw_accuracies(found),
            draw_tests(
                "differences.png",
                "test accuracy minus that of softmax cross-entropy, points",
                findings,
            ),
        ),
        (
            accuracy_table(found),
            table_of("Test accuracy minus that of softmax cross-entropy, points", findings),
        ),
        notes_of(found, SIZES[trainer.budget]),
    )


def minus_reference(found: Found, loss: str, task: Task) -> Contrast:
    a, b = found[loss, task.data], found[REFERENCE, task.data]
    classes = number_of_classes(found, task)
    name = f"{LOSSES[loss]}, {classes} classes"
    return contrast(name, loss, accuracies(a), accuracies(b), (right(a), right(b)))


def number_of_classes(found: Found, task: Task) -> int:
    return len(found[REFERENCE, task.data][0].counts)


def demands_of(found: Found) -> list[Hypothesis]:
    """Return the hypotheses: no other loss is ahead of softmax cross-entropy on either task."""
    return [
        Hypothesis(minus_reference(found, loss, task), "below", task.ahead)
        for task in TASKS
        for loss in LOSSES
        if loss != REFERENCE
    ]


def sentence_of(found: Found) -> str:
    parts = []
    for task in TASKS:
        listed = ", ".join(
            f"{name} {with_span(minus_reference(found, loss, task).interval)}"
            for loss, name in LOSSES.items()
            if loss != REFERENCE
        )
        parts.append(f"{number_of_classes(found, task)} classes: {listed}")
    return "Points ahead of softmax cross-entropy with " + "; with ".join(parts) + "."


def accuracy_table(found: Found) -> ClaimTable:
    rows = []
    for task in TASKS:
        reference = accuracies(found[REFERENCE, task.data])
        for loss, name in LOSSES.items():
            results = found[loss, task.data]
            values = accuracies(results)
            ninety = paired_difference(values, reference, level=0.9)
            level = verdict_equivalent(ninety, task.ahead)
            rows.append(
                (
                    f"{name}, {number_of_classes(found, task)} classes",
                    f"{results[0].config.learning_rate:g}",
                    plus_minus(mean_interval(values)),
                    "reference" if loss == REFERENCE else with_span(ninety),
                    "" if loss == REFERENCE else f"within ±{task.ahead:g}: {level}",
                )
            )
    return ClaimTable(
        "Accuracy with more than two classes",
        (
            "loss",
            "learning rate",
            "test accuracy, %",
            "minus cross-entropy (90 %), points",
            "level with it?",
        ),
        tuple(rows),
        (
            "Mean ± half the 95 % t interval over seeds. Level: whether the 90 % interval of the "
            "difference lies within the margin (two one-sided tests); it is not part of the "
            "verdict.",
        ),
    )


def draw_accuracies(found: Found) -> ClaimFigure:
    """Draw the accuracy of every loss beside chance, one panel per task."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "More than two classes: which loss is right most often?"
    words = []
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 6.3), dpi=DPI)
        panels = figure.subplots(len(TASKS), 1)
        top = heading(figure, title, f"{SEEDS[0].upper()}{SEEDS[1:]}.")
        left = label_width(list(LOSSES.values()))
        figure.subplots_adjust(left=left, right=0.92, top=top - 0.06, bottom=0.095, hspace=0.42)
        for axes, task in zip(panels, TASKS, strict=True):
            runs = found[REFERENCE, task.data]
            chance = chance_of(runs)
            tested = len(runs[0].test.labels) if runs[0].test is not None else 0
            axes.set_title(
                f"{task.name}: {number_of_classes(found, task)} classes, "
                f"{sum(runs[0].counts):,} training and {tested:,} test images",
            )
            rows = [
                Row(name, loss, accuracies(found[loss, task.data])) for loss, name in LOSSES.items()
            ]
            draw_rows(axes, rows)
            axes.margins(x=0.05)
            chance_line(axes, chance)
            means = ", ".join(f"{r.label} {sum(r.values) / len(r.values):.1f}" for r in rows)
            words.append(f"{task.name} (chance {chance:.0f}): {means}")
        panels[-1].set_xlabel("test accuracy, %")
        alt = f"{title} Mean test accuracy, %. " + "; ".join(words) + "."
        return ClaimFigure("accuracies.png", render_png(figure, alt), alt)


def notes_of(found: Found, sizes: Mapping[str, Size]) -> tuple[str, ...]:
    breeds = found[REFERENCE, BREEDS.data][0]
    ten, photographs = sizes[TEN.data], sizes[BREEDS.data]
    return (
        f"The breeds are those of which enough photographs are at hand: "
        f"{len(breeds.counts)} here, {sum(breeds.counts):,} training images at "
        f"{BREEDS.image_size} px. The margin there is wider, {BREEDS.ahead:g} points against "
        f"{TEN.ahead:g}, because fewer test images tell only larger differences.",
        f"Learning rates are searched with {ten.search_epochs} of {ten.epochs} epochs of CIFAR-10 "
        f"and {photographs.search_epochs} of {photographs.epochs} of the photographs.",
        "One against the rest is binary cross-entropy in one column a class, summed over the "
        "columns; it predicts the class with the largest logit. With two classes the sum of "
        "Bernoullis is exactly twice cross-entropy; with more it is another loss.",
        "Hui and Belkin (2021) scale squared error on raw outputs for many classes; this is the "
        "squared error of softmax probabilities, another loss.",
    )


CLAIM = Claim(
    name="multiclass",
    question="With more than two classes, is softmax cross-entropy the loss to use?",
    claim=(
        "It is: no other way to carry the argument over is more accurate, by more than "
        f"{TEN.ahead:g} point with ten classes or {BREEDS.ahead:g} with breeds. Not the sum of "
        "Bernoulli cross-entropies of a softmax, nor the squared error of a softmax, nor binary "
        "cross-entropy of each class against the rest."
    ),
    refuted_by=(
        f"One of the three is ahead of softmax cross-entropy by more than {TEN.ahead:g} point on "
        f"CIFAR-10's ten classes, or by more than {BREEDS.ahead:g} points on photographs of breeds."
    ),
    procedure=(
        "The ten classes of CIFAR-10, and the breeds of Oxford-IIIT Pet. Every loss gets the "
        "learning rate that is best for it on validation images of that task, from the same grid. "
        "Test accuracy minus that of softmax cross-entropy, paired by seed, must be below "
        f"{TEN.ahead:g} point with ten classes and below {BREEDS.ahead:g} points with breeds, for "
        "each of the three. An interval is 95 %, for other seeds and other test images together; "
        "the six p-values are corrected by Holm."
    ),
    source=(
        "the softmax read as N Bernoulli distributions, as the article that started lossbench has "
        "it; Rifkin and Klautau 2004, J. Machine Learning Research 5, 101-141 (one against the "
        "rest is as accurate as other ways)"
    ),
    examine=examine,
)
