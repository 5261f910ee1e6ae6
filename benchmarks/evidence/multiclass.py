"""Claim: does it matter how cross-entropy is extended to more than two classes?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.intervals import SEEDS, RowPanel
from lossbench.benchmarks.plots.panels import PanelFigure
from lossbench.benchmarks.records.claim import ClaimTable, Measure
from lossbench.benchmarks.training.result import Predictions
from lossbench.losses import functional as F

from .claim import Analysis, Claim
from .design import Design, Expected, Quantity, Tested
from .figures import figure, search_figure, seed_row, tests_figure
from .measures import at_most, difference_text, table, tests_table, with_interval
from .runs import accuracies, accuracy_difference, chance_level, is_finite, tested
from .text import mean_text
from .tuned import end_notes, search_table

REFERENCE, BERNOULLI = "cross-entropy", "bernoulli-sum"
LOSSES = {
    REFERENCE: "softmax cross-entropy",
    BERNOULLI: "sum of Bernoullis",
    "softmax-mse": "softmax squared error",
    "bce-with-logits": "one against the rest",
}
OTHERS = tuple(LOSSES)[1:]
# Points by which a loss must be ahead of cross-entropy to count as more accurate.
MARGIN = 1.0
# The gradient of another loss is no multiple of p - t if more than this part of it is left over.
LEFT_OVER = 0.01
# Rounding of float64.
ROUNDING = 1e-9
EPOCHS, IMAGES = 4, 10_000

CELLS = {
    loss: RunConfig(
        loss,
        0,
        0.1,
        data="cifar10-ten",
        epochs=EPOCHS,
        validation=0.04,
        train_images=IMAGES,
        evaluations=1,
        test=True,
    )
    for loss in LOSSES
}
DESIGN = Design(
    question="With more than two classes, is softmax cross-entropy the loss to use?",
    expects=(
        *(
            Expected(f"{LOSSES[loss]} minus softmax cross-entropy, test accuracy", "below", MARGIN)
            for loss in OTHERS
        ),
        Expected(
            "ten classes: part of the gradient of the sum of Bernoullis that no multiple of p - t "
            "explains",
            "above",
            LEFT_OVER,
            "",
        ),
    ),
    cells=CELLS,
    searches=CELLS,
    rates=(0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
)


@dataclass
class Multiclass(Analysis):
    """Runs of every loss on ten classes, each with its own learning rate."""

    def __post_init__(self) -> None:
        self.accuracies = {loss: accuracies(runs) for loss, runs in self.runs.items()}
        self.chance = chance_level(self.runs[REFERENCE][0].test)
        # The algebra is evaluated on what the networks of cross-entropy say of the test images.
        finite = [each for each in tested(self.runs[REFERENCE]) if is_finite(each)]
        self.forms = [algebra(each) for each in finite]

    def tests(self) -> list[Tested]:
        """Test the differences, and that the sum of Bernoullis is another loss."""
        return DESIGN.test(
            [
                *(accuracy_difference(self.runs[loss], self.runs[REFERENCE]) for loss in OTHERS),
                Quantity(tuple(each.left_over for each in self.forms)),
            ]
        )

    def measures(self) -> Sequence[Measure]:
        seeds = len(self.forms)
        return (
            *(test.measure for test in self.tests()),
            at_most(
                "ten classes: relative difference of softmax cross-entropy from -ln of the right "
                "class's probability, largest",
                [each.from_logarithm for each in self.forms],
                ROUNDING,
                seeds,
            ),
            at_most(
                "two classes: relative difference of the sum of Bernoullis from twice "
                "cross-entropy, largest",
                [each.from_twice for each in self.forms],
                ROUNDING,
                seeds,
            ),
        )

    def sentence(self) -> str:
        return (
            "With ten classes, where it is no longer twice cross-entropy but another loss, the sum "
            f"of Bernoullis is {with_interval(self.tests()[0])} points of test accuracy from it."
        )

    def figures(self) -> Sequence[PanelFigure]:
        reference = self.runs[REFERENCE]
        rows = [seed_row(name, loss, self.accuracies[loss]) for loss, name in LOSSES.items()]
        heading = (
            f"CIFAR-10: {len(reference[0].counts)} classes, {sum(reference[0].counts):,} training "
            f"and {len(tested(reference)[0].labels):,} test images"
        )
        listed = ", ".join(f"{row.label} {row.text}" for row in rows)
        accuracy = figure(
            "accuracies.png",
            [RowPanel(rows, "test accuracy, %", heading, self.chance)],
            title="More than two classes: which loss is most accurate?",
            caption=SEEDS,
            alt=f"Mean test accuracy, %, chance {self.chance:.0f}: {listed}.",
        )
        title = "The search for learning rates"
        return (
            accuracy,
            tests_figure(self.tests(), [*OTHERS, BERNOULLI]),
            search_figure(title, self.searched, LOSSES, self.chance),
        )

    def tables(self) -> Sequence[ClaimTable]:
        accuracy = table(
            "Accuracy with more than two classes",
            self.runs,
            {
                "loss": LOSSES.__getitem__,
                "learning rate": lambda loss: f"{self.runs[loss][0].config.learning_rate:g}",
                "test accuracy, %": lambda loss: mean_text(self.accuracies[loss]),
                "minus cross-entropy, points": lambda loss: difference_text(
                    self.runs[loss], self.runs[REFERENCE]
                ),
            },
            "Mean ± half the 95 % t interval over seeds.",
        )
        return (tests_table(self.tests()), accuracy, search_table(self.searched, LOSSES))

    def notes(self) -> Sequence[str]:
        return (
            "The algebra first. A softmax is one distribution over K classes, and the likelihood "
            "of an image is the probability p_y of its class alone: cross-entropy is -ln p_y, with "
            "gradient p - t. The article reads the softmax as K Bernoulli distributions and sums "
            "their cross-entropies, -ln p_y minus the sum of ln(1 - p_k) over the other classes. "
            "With two classes 1 - p_k is p_y, so that this is twice the same; with more it is "
            "another loss.",
            f"The learning rate of each loss is searched with all {EPOCHS} epochs.",
            "One against the rest is binary cross-entropy in one column per class, summed over the "
            "columns; it predicts the class with the largest logit.",
            "Hui and Belkin (2021) scale squared error on raw outputs for many classes; this is "
            "the squared error of softmax probabilities, another loss.",
            *end_notes(self.searched, LOSSES),
        )


@dataclass(frozen=True)
class Algebra:
    """Differences of the losses on the test outputs of a network.

    Attributes:
        from_logarithm: largest relative difference of softmax cross-entropy from -ln p_y.
        from_twice: that of the sum of Bernoullis from twice cross-entropy, for two of the classes.
        left_over: what is left of the gradient of the sum of Bernoullis without the nearest
            multiple of p - t, relative to it; mean over images.
    """

    from_logarithm: float
    from_twice: float
    left_over: float


def algebra(predictions: Predictions) -> Algebra:
    """Evaluate the losses of the library on the outputs of a network, in float64."""
    z = torch.from_numpy(predictions.outputs).double().requires_grad_()
    y = torch.from_numpy(predictions.labels)
    logarithm = torch.logsumexp(z, 1) - z.gather(1, y[:, None])[:, 0]
    entropy = F.cross_entropy(z, y, reduction="none")
    (g,) = torch.autograd.grad(F.bernoulli_sum(z, y, reduction="sum"), z)
    two, first = z[:, :2], (y == 0).long()
    doubled = 2 * F.cross_entropy(two, first, reduction="none")
    bernoulli = F.bernoulli_sum(two, first, reduction="none")
    error = torch.softmax(z, 1).detach()
    error[torch.arange(len(y)), y] -= 1
    return Algebra(
        _largest(entropy, logarithm),
        _largest(bernoulli, doubled),
        left_over(g.numpy(), error.numpy()),
    )


def left_over(gradient: NDArray[np.float64], error: NDArray[np.float64]) -> float:
    """Return |g - a e| / |g| for the nearest multiple a e, mean over the rows."""
    a = (gradient * error).sum(1) / (error**2).sum(1)
    rest = np.linalg.norm(gradient - a[:, None] * error, axis=1)
    return float((rest / np.linalg.norm(gradient, axis=1)).mean())


def _largest(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(((a - b).abs() / b.abs().clamp_min(torch.finfo(b.dtype).tiny)).max().detach())


CLAIM = Claim(
    name="multiclass",
    claim=(
        "With ten classes no other way to carry the argument over is more accurate than softmax "
        f"cross-entropy by more than {MARGIN:g} point: neither the sum of Bernoullis, which is "
        "then another loss, nor the squared error of a softmax, nor one against the rest."
    ),
    refuted_by=(
        f"One of the three is ahead of softmax cross-entropy by more than {MARGIN:g} point on "
        "CIFAR-10's ten classes, or the sum of Bernoullis is a multiple of it."
    ),
    procedure=(
        "Softmax cross-entropy must be -ln of the right class's probability, and for two classes "
        f"the sum of Bernoullis twice that, to {ROUNDING:g} of the value in float64, on the test "
        "outputs of trained networks; with ten classes its gradient must not be a multiple of "
        "p - t. Then accuracy on the ten classes of CIFAR-10: every loss gets the learning rate "
        "that is best for it on validation images, from the same grid; differences are paired by "
        "seed."
    ),
    source=(
        "the softmax read as N Bernoulli distributions, as the article that started lossbench has "
        "it; Rifkin and Klautau 2004, J. Machine Learning Research 5, 101-141 (one against the "
        "rest is as accurate as other ways)"
    ),
    design=DESIGN,
    analysis=Multiclass,
)
