"""Claim: does the order of the losses change with the fraction of wrong labels?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.format import percent
from lossbench.benchmarks.plots.canvas import (
    CHANCE_STYLE,
    DPI,
    RC,
    Label,
    label_lines,
    line_style,
    render_png,
)
from lossbench.benchmarks.plots.palette import loss_style
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Finding, verdict_of
from lossbench.benchmarks.stats.intervals import mean_interval
from lossbench.benchmarks.training.rate_search import accuracy_by_rate
from lossbench.benchmarks.training.result import RunResult

from .claim import Budget, Claim, Trainer
from .figures.rows import draw_tests, heading
from .measures.contrasts import (
    Contrast,
    Hypothesis,
    HypothesisTest,
    contrast,
    evaluate_hypotheses,
    plus_minus,
    signed,
    table_of,
    with_span,
)
from .measures.networks import accuracies, chance_of, over_seeds, right, tuned

REFERENCE = "cross-entropy"
LOSSES = {
    REFERENCE: "cross-entropy",
    "generalized-cross-entropy": "generalised CE",
    "symmetric-cross-entropy": "symmetric CE",
    "softmax-focal": "focal",
    "softmax-probability-sum": "probability sum",
}
ROBUST = ("generalized-cross-entropy", "symmetric-cross-entropy")
SHARES = (0.0, 0.2, 0.4)
TUNED_AT = 0.2
# How far ahead of cross-entropy, in points, a loss may be without noise and still be level.
LEVEL = 1.0

Found = Mapping[tuple[str, float], Sequence[RunResult]]


class Size(NamedTuple):
    """Epochs, images and seeds of a budget."""

    images: int
    epochs: int
    seeds: int
    search_images: int


SIZES: dict[Budget, Size] = {
    "quick": Size(800, 10, 3, 500),
    "standard": Size(1_500, 20, 5, 500),
    "full": Size(5_000, 40, 8, 1_500),
}


def trial_of(loss: str, share: float, size: Size) -> RunConfig:
    """Return a run with many passes over few unaugmented images, so wrong labels can be
    memorised."""
    return RunConfig(
        loss=loss,
        seed=0,
        learning_rate=0.1,
        data="cifar10-ten",
        train_images=size.images,
        epochs=size.epochs,
        augmentation="none",
        label_noise=share,
        # 1,000 images are enough to choose a rate by; more would cost more than the training.
        validation=0.02,
        evaluations=1,
    )


def examine(trainer: Trainer) -> Finding:
    size = SIZES[trainer.budget]
    middle = [trial_of(loss, TUNED_AT, size) for loss in LOSSES]
    trainer.say(f"choosing learning rates with {words(TUNED_AT)} wrong labels")
    less: dict[str, Any] = {"train_images": size.search_images, "evaluations": 0}
    rates = dict(zip(LOSSES, tuned(trainer, middle, **less), strict=True))
    search = [replace(config, **less) for config in middle]
    tried = {
        loss: accuracy_by_rate(found)
        for loss, found in zip(LOSSES, trainer.searched(search), strict=True)
    }
    cells = [(loss, share) for loss in LOSSES for share in SHARES]
    configs = [replace(rates[loss], label_noise=share) for loss, share in cells]
    trainer.say("every loss with 0, 20 and 40 % wrong labels")
    found = dict(zip(cells, over_seeds(trainer, configs, size.seeds), strict=True))
    judgements = evaluate_hypotheses(demands_of(found))
    return Finding(
        verdict_of([item.measure for item in judgements]),
        sentence_of(found),
        tuple(item.measure for item in judgements),
        (
            draw_shares(found),
            draw_tests(
                "differences.png", "test accuracy minus that of cross-entropy, points", judgements
            ),
            draw_rates(tried, chance_of(found[REFERENCE, SHARES[0]])),
        ),
        (accuracy_table(found), difference_table(found, judgements)),
        notes_of(size),
    )


def demands_of(found: Found) -> list[Hypothesis]:
    """Return the hypotheses: no loss is ahead without noise, robust ones are with the most
    noise."""
    level = [
        Hypothesis(minus_reference(found, loss, SHARES[0]), "below", LEVEL)
        for loss in LOSSES
        if loss != REFERENCE
    ]
    ahead = [Hypothesis(minus_reference(found, loss, SHARES[-1]), "above", 0.0) for loss in ROBUST]
    return level + ahead


def words(share: float) -> str:
    """Format a fraction: 0.4 as 40 %."""
    return f"{percent(share, 0)} %"


def minus_reference(found: Found, loss: str, share: float) -> Contrast:
    """Return a loss minus cross-entropy, trained on the same wrong labels."""
    a, b = found[loss, share], found[REFERENCE, share]
    name = f"{LOSSES[loss]}, {words(share)} wrong"
    return contrast(name, loss, accuracies(a), accuracies(b), (right(a), right(b)))


def sentence_of(found: Found) -> str:
    clean, noisy = (
        ", ".join(
            f"{LOSSES[loss]} {with_span(minus_reference(found, loss, share).interval)}"
            for loss in ROBUST
        )
        for share in (SHARES[0], SHARES[-1])
    )
    best = {
        share: max(LOSSES, key=lambda loss: sum(accuracies(found[loss, share]))) for share in SHARES
    }
    return (
        f"Points ahead of cross-entropy without wrong labels: {clean}; "
        f"with {words(SHARES[-1])} of them: {noisy}. "
        f"The most accurate loss is {LOSSES[best[SHARES[0]]]} without and "
        f"{LOSSES[best[SHARES[-1]]]} with them."
    )


def accuracy_table(found: Found) -> ClaimTable:
    """Return the table of accuracies and of the fraction of memorised wrong labels."""
    rows = []
    for loss, name in LOSSES.items():
        cells = [found[loss, share] for share in SHARES]
        tested = [plus_minus(mean_interval(accuracies(results))) for results in cells]
        fitted = [
            f"{100 * sum(o.evaluations[-1].train_accuracy for o in cell) / len(cell):.0f}"
            for cell in cells
        ]
        rate = cells[0][0].config.learning_rate
        rows.append((name, f"{rate:g}", *tested, *fitted))
    return ClaimTable(
        "Accuracy with wrong labels in training",
        (
            "loss",
            "learning rate",
            *(f"test accuracy, {words(share)} wrong, %" for share in SHARES),
            *(f"training labels met, {words(share)} wrong, %" for share in SHARES),
        ),
        tuple(rows),
        (
            "Mean ± half the 95 % t interval over seeds. Training labels met: how often, over the "
            "last epoch, the network gives the label that it is trained on, right or wrong; where "
            "that is more often than labels are right, it has learnt wrong ones by heart.",
        ),
    )


def difference_table(found: Found, judgements: Sequence[HypothesisTest]) -> ClaimTable:
    """Return the table of every difference that the verdict rests on."""
    judged_already = {item.demand.contrast.name for item in judgements}
    rest = [minus_reference(found, loss, share) for share in SHARES for loss in LOSSES]
    others = "; ".join(
        f"{drawn.name}: {with_span(drawn.interval)}"
        for drawn in rest
        if drawn.loss != REFERENCE and drawn.name not in judged_already
    )
    return table_of(
        "Test accuracy minus that of cross-entropy, points",
        judgements,
        notes=(f"Not part of the verdict, with the outer 95 % ends: {others}.",),
    )


def draw_shares(found: Found) -> ClaimFigure:
    """Draw accuracy against the fraction of wrong labels, one line per loss."""
    import matplotlib
    from matplotlib.figure import Figure

    seeds = len(found[REFERENCE, SHARES[0]])
    title = "Do the losses change places when training labels are wrong?"
    said, chance = [], chance_of(found[REFERENCE, SHARES[0]])
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 5.4), dpi=DPI)
        axes = figure.subplots()
        top = heading(figure, title, f"Mean of {seeds} seeds; bar: 95 % interval.")
        figure.subplots_adjust(left=0.08, right=0.72, top=top, bottom=0.125)
        axes.set_xlabel("training labels replaced by a wrong one, %")
        axes.set_ylabel("accuracy on rightly labelled test images, %")
        labels = []
        # Side by side, so that bars do not hide each other.
        for place, (loss, name) in enumerate(LOSSES.items()):
            means = [mean_interval(accuracies(found[loss, share])) for share in SHARES]
            at = [100 * share + 0.45 * (place - 2) for share in SHARES]
            look = line_style(loss)
            heights = [interval.mean or 0.0 for interval in means]
            axes.plot(at, heights, marker=loss_style(loss)["marker"], markersize=8, **look)
            for x, interval in zip(at, means, strict=True):
                if interval.low is not None and interval.high is not None:
                    axes.plot([x, x], [interval.low, interval.high], color=look["color"], lw=1.6)
            labels.append(Label(heights[-1], f"{name}  {heights[-1]:.1f}", loss))
            said.append(f"{name} " + ", ".join(f"{height:.1f}" for height in heights))
        axes.axhline(chance, **CHANCE_STYLE)
        labels.append(Label(chance, f"chance  {chance:.1f}", None))
        axes.set_xticks([100 * share for share in SHARES])
        axes.set_xlim(-2, 42)
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#E6E6E6")
        axes.set_axisbelow(True)
        label_lines(axes, labels, gap=0.075)
        wrong = ", ".join(f"{words(share)}" for share in SHARES)
        alt = f"{title} Test accuracy in % with {wrong} wrong labels: " + "; ".join(said) + "."
        return ClaimFigure("shares.png", render_png(figure, alt), alt)


def draw_rates(tried: Mapping[str, Mapping[float, float]], chance: float) -> ClaimFigure:
    """Draw the search: accuracy against the learning rate with some wrong labels."""
    import matplotlib
    from matplotlib.figure import Figure

    title = f"What a learning rate does with {words(TUNED_AT)} wrong labels"
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 4.6), dpi=DPI)
        axes = figure.subplots()
        top = heading(
            figure,
            title,
            "What the search for learning rates saw. Filled: the rate chosen for the comparison.",
        )
        figure.subplots_adjust(left=0.08, right=0.72, top=top, bottom=0.14)
        axes.set_xscale("log")
        axes.set_xlabel("peak learning rate")
        axes.set_ylabel("validation accuracy, %")
        labels, best = [], []
        for loss, name in LOSSES.items():
            means = {rate: 100 * share for rate, share in sorted(tried[loss].items())}
            rates, heights = list(means), list(means.values())
            top = max(rates, key=means.__getitem__)
            look, marker = line_style(loss), loss_style(loss)["marker"]
            hollow: dict[str, Any] = {"marker": marker, "markersize": 8, "markerfacecolor": "white"}
            axes.plot(rates, heights, **look, **hollow)
            axes.plot(
                [top], [means[top]], marker=marker, markersize=11, color=look["color"], zorder=8
            )
            labels.append(Label(heights[-1], f"{name}  {heights[-1]:.1f}", loss))
            best.append(f"{name} {means[top]:.1f} at {top:g}")
        axes.axhline(chance, **CHANCE_STYLE)
        labels.append(Label(chance, f"chance  {chance:.1f}", None))
        rates = sorted({rate for means in tried.values() for rate in means})
        axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="#E6E6E6")
        axes.set_axisbelow(True)
        label_lines(axes, labels, gap=0.09)
        alt = f"{title}. Best validation accuracy, %: " + "; ".join(best) + "."
        return ClaimFigure("rates.png", render_png(figure, alt), alt)


def notes_of(size: Size) -> tuple[str, ...]:
    return (
        f"Ten classes, {size.images:,} training images, {size.epochs} epochs, no augmentation: few "
        "images and many passes, because wrong labels hurt by being learnt by heart. Zhang and "
        "Sabuncu train a ResNet-34 for 120 epochs on all of CIFAR-10, far more than this budget "
        "pays for: the signs of differences can be compared with theirs, their sizes cannot.",
        f"The learning rate of each loss is chosen with {words(TUNED_AT)} wrong labels, on "
        f"{size.search_images:,} training images and rightly labelled validation images, and is "
        "the same for every share of wrong labels. Zhang and Sabuncu gave all losses one rate; the "
        "picture of the rates shows how much that choice decides.",
        "Test and validation images keep their right labels. A wrong label is another of the ten "
        "classes, evenly drawn; the wrong labels of 20 % are among those of 40 %, and they are the "
        "same for every loss.",
        "Settings of the losses: generalised cross-entropy q = 0.7; symmetric cross-entropy "
        "alpha = 0.1, beta = 1, ln 0 read as -4; focal gamma = 2.",
    )


CLAIM = Claim(
    name="noise",
    question="Does the order of the losses change when training labels are wrong?",
    claim=(
        "It crosses over: without wrong labels no loss is ahead of cross-entropy, and with 40 % of "
        "them generalised and symmetric cross-entropy are."
    ),
    refuted_by=(
        f"Without wrong labels a loss is more than {LEVEL:g} point ahead of cross-entropy, or with "
        "40 % generalised or symmetric cross-entropy is not ahead."
    ),
    procedure=(
        "CIFAR-10's ten classes, with 0, 20 and 40 % of the training labels replaced by another "
        "class; few images, many epochs and no augmentation, so that labels can be learnt by "
        "heart. Every loss gets the learning rate that is best for it on validation images with "
        "20 % wrong labels, from the same grid. Test accuracy minus that of cross-entropy, paired "
        f"by seed: without wrong labels all four must be below {signed(LEVEL, None)} point, with "
        "40 % generalised and symmetric cross-entropy must be above 0. An interval is 95 %, for "
        "other seeds and other test images together; the six p-values are corrected by Holm. Focal "
        "loss and the probability sum (half the mean absolute error) are measured beside them."
    ),
    source=(
        "Zhang and Sabuncu 2018, arXiv 1805.07836 (generalised cross-entropy, MAE); Wang et al. "
        "2019, arXiv 1908.06112 (symmetric cross-entropy)"
    ),
    examine=examine,
)
