"""Claim: which loss still finds rare cats?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lossbench.benchmarks.config import RunConfig
from lossbench.benchmarks.plots.canvas import DPI, FAINT, RC, render_png
from lossbench.benchmarks.records.claim import ClaimFigure, ClaimTable, Finding, verdict_of
from lossbench.benchmarks.stats.intervals import mean_interval
from lossbench.benchmarks.stats.metrics import balanced_accuracy
from lossbench.benchmarks.training.result import Predictions, RunResult

from .claim import Budget, Claim, Trainer
from .figures.rows import SEEDS, Row, chance_line, draw_rows, draw_tests, heading, label_width
from .measures.contrasts import (
    Contrast,
    Hypothesis,
    contrast,
    evaluate_hypotheses,
    plus_minus,
    signed,
    table_of,
)
from .measures.networks import over_seeds, tuned

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

RATIOS = (10, 50)
# What a remedy must gain in balanced accuracy, in points, to be called one.
GAIN = 2.0
LABELS = ("dogs", "cats")
SPAN: dict[str, Any] = {"color": "#999999", "linewidth": 1.2, "marker": "|", "markersize": 7}
CHANCE = 50.0  # of balanced accuracy with two classes, whatever the images

PLAIN, WEIGHTED, FOCAL, ADJUSTED = "plain", "weighted", "focal", "logit-adjusted"
SHIFTED = "plain shifted afterwards"
LOSSES = {
    PLAIN: "cross-entropy",
    WEIGHTED: "cross-entropy",
    FOCAL: "softmax-focal",
    ADJUSTED: "logit-adjusted",
    SHIFTED: "cross-entropy",
}
TRAINED = (PLAIN, WEIGHTED, FOCAL, ADJUSTED)

Said = Mapping[tuple[str, int], Sequence[Predictions]]


class Size(NamedTuple):
    """Epochs, images and seeds of a budget."""

    epochs: int
    seeds: int
    search_epochs: int


SIZES: dict[Budget, Size] = {
    "quick": Size(3, 3, 1),
    "standard": Size(6, 5, 2),
    "full": Size(20, 10, 5),
}


def trial_of(method: str, ratio: int, counts: Sequence[int], size: Size) -> RunConfig:
    """Return the run of a method with `ratio` dogs per cat; `counts` are the images per class."""
    return RunConfig(
        loss=LOSSES[method],
        seed=0,
        learning_rate=0.1,
        loss_arguments=settings_of(method, counts),
        epochs=size.epochs,
        imbalance=float(ratio),
        evaluations=0,
    )


def settings_of(method: str, counts: Sequence[int]) -> tuple[tuple[str, Any], ...]:
    """Return the loss arguments of a method: class weights N / (K n_c), or the counts.

    With these weights every class has the same total weight, and the mean weight of an example is
    1.
    """
    if method == WEIGHTED:
        return (("weight", tuple(sum(counts) / (len(counts) * count) for count in counts)),)
    if method == ADJUSTED:
        return (("prior", tuple(float(count) for count in counts)),)
    return ()


def shifted(said: Predictions, counts: Sequence[int]) -> Predictions:
    """Correct the logits of a trained network for the class frequencies: z_c - ln n_c.

    Source: Menon et al. 2021.
    """
    outputs = said.outputs - np.log(np.asarray(counts, dtype=np.float32))
    likely = np.exp(outputs - outputs.max(1, keepdims=True))
    return Predictions(
        outputs.astype(np.float32),
        (likely / likely.sum(1, keepdims=True)).astype(np.float32),
        outputs.argmax(1).astype(np.int64),
        said.labels,
    )


def examine(trainer: Trainer) -> Finding:
    size = SIZES[trainer.budget]
    trainer.say("choosing learning rates with 1 cat for 10 and for 50 dogs")
    plain = [trial_of(PLAIN, ratio, (), size) for ratio in RATIOS]
    # How many images there are of each class is known once a network has been trained on them.
    searched = trainer.searched([replace(config, epochs=size.search_epochs) for config in plain])
    counted = {r: found[0].counts for r, found in zip(RATIOS, searched, strict=True)}
    cells = [(method, ratio) for ratio in RATIOS for method in TRAINED]
    told = [trial_of(method, ratio, counted[ratio], size) for method, ratio in cells]
    configs = dict(zip(cells, tuned(trainer, told, epochs=size.search_epochs), strict=True))
    trainer.say("plain, weighted, focal and logit-adjusted")
    results = dict(
        zip(configs, over_seeds(trainer, list(configs.values()), size.seeds), strict=True)
    )
    said = said_by(results, counted)
    findings = evaluate_hypotheses(demands_of(said))
    measures = tuple(item.measure for item in findings)
    return Finding(
        verdict_of(measures),
        sentence_of(said),
        measures,
        (
            draw_recall(said, counted),
            draw_tests("differences.png", "difference in balanced accuracy, points", findings),
        ),
        (
            accuracy_table(said, configs, counted),
            table_of("Differences in balanced accuracy, points", findings),
        ),
        notes_of(said, size),
    )


def said_by(
    results: Mapping[tuple[str, int], Sequence[RunResult]], counted: Mapping[int, Sequence[int]]
) -> dict[tuple[str, int], list[Predictions]]:
    """Return the predictions of every network for the test images; plain ones also with shifted
    logits."""
    said = {
        cell: [result.test for result in found if result.test is not None]
        for cell, found in results.items()
    }
    for ratio, counts in counted.items():
        said[SHIFTED, ratio] = [shifted(one, counts) for one in said[PLAIN, ratio]]
    return said


def balanced(said: Sequence[Predictions]) -> list[float]:
    """Return the balanced accuracy of each network, in percent."""
    return [100 * balanced_accuracy(one.predicted, one.labels) for one in said]


def recall(said: Sequence[Predictions], label: int) -> float:
    """Return the mean recall of a class over networks, in percent."""
    return 100 * float(np.mean([(p.predicted == label)[p.labels == label].mean() for p in said]))


def difference(said: Said, method: str, other: str, ratio: int) -> Contrast:
    """Return the balanced accuracy of a method minus that of another.

    It has an interval over test images only if the test split is balanced, where balanced accuracy
    is accuracy.
    """
    a, b = said[method, ratio], said[other, ratio]
    even = len(set(np.bincount(a[0].labels))) == 1
    return contrast(
        f"1:{ratio}  {method} minus {other}",
        LOSSES[method],
        balanced(a),
        balanced(b),
        (hits(a), hits(b)) if even else None,
        hollow=method == WEIGHTED,
    )


def hits(said: Sequence[Predictions]) -> NDArray[np.bool_]:
    """Return whether each network classified each test image correctly, (networks, N)."""
    return np.stack([one.correct for one in said])


def demands_of(said: Said) -> list[Hypothesis]:
    pairs = ((WEIGHTED, PLAIN), (ADJUSTED, PLAIN), (ADJUSTED, FOCAL))
    return [
        Hypothesis(difference(said, method, other, ratio), "above", GAIN)
        for ratio in RATIOS
        for method, other in pairs
    ]


def sentence_of(said: Said) -> str:
    parts = []
    for ratio in RATIOS:
        means = {method: np.mean(balanced(said[method, ratio])) for method in LOSSES}
        cats = recall(said[PLAIN, ratio], 1)
        parts.append(
            f"With {ratio} dogs for a cat, plain cross-entropy finds {cats:.0f} % of the cats; "
            "balanced accuracy is "
            + ", ".join(f"{mean:.1f} % {method}" for method, mean in means.items())
        )
    return "; ".join(parts).replace("; W", "; w") + "."


def accuracy_table(
    said: Said, configs: Mapping[tuple[str, int], RunConfig], counted: Mapping[int, Sequence[int]]
) -> ClaimTable:
    """Return the table of balanced accuracy and the recall of both classes."""
    rows = []
    for ratio in RATIOS:
        dogs, cats = counted[ratio]
        for method in LOSSES:
            found = said[method, ratio]
            config = configs[PLAIN if method == SHIFTED else method, ratio]
            rows.append(
                (
                    f"1:{ratio} {method}",
                    f"{dogs:,} and {cats:,}",
                    f"{config.learning_rate:g}",
                    plus_minus(mean_interval(balanced(found))),
                    f"{recall(found, 0):.1f}",
                    f"{recall(found, 1):.1f}",
                )
            )
    return ClaimTable(
        "Balanced accuracy when cats are rare",
        (
            "method",
            "dogs and cats trained on",
            "learning rate",
            "balanced accuracy, %",
            "dogs found, %",
            "cats found, %",
        ),
        tuple(rows),
        (
            "Mean ± half the 95 % t interval over seeds. Balanced accuracy is the mean of the two "
            f"shares at its right; chance is {CHANCE:.0f} %, whatever a network always answers.",
            f"'{SHIFTED}' are the plain networks again, with ln n_c taken from the logit of the "
            "class of which there were n_c; it is not part of the verdict.",
        ),
    )


def draw_recall(said: Said, counted: Mapping[int, Sequence[int]]) -> ClaimFigure:
    """Draw the balanced accuracy of each method between the recalls of both classes."""
    import matplotlib
    from matplotlib.figure import Figure

    title = "Cats are rare in training: who still finds them in the test?"
    words = []
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(10, 7.4), dpi=DPI)
        top = heading(
            figure,
            title,
            f"Balanced accuracy ({SEEDS})\nis the middle of the grey line, which "
            "reaches from the share of cats to the share of dogs that is recognised.",
        )
        panels = figure.subplots(len(RATIOS), 1, sharex=True)
        figure.subplots_adjust(
            left=label_width(list(LOSSES)), right=0.92, top=top - 0.05, bottom=0.085, hspace=0.26
        )
        for axes, ratio in zip(panels, RATIOS, strict=True):
            dogs, cats = counted[ratio]
            axes.set_title(f"1 cat for {ratio} dogs: {cats:,} cats, {dogs:,} dogs")
            for place, method in enumerate(LOSSES):
                _draw_span(axes, place, said[method, ratio])
            rows = [
                Row(m, LOSSES[m], balanced(said[m, ratio]), m in (WEIGHTED, SHIFTED))
                for m in LOSSES
            ]
            draw_rows(axes, rows)
            chance_line(axes, CHANCE)
            axes.set_xlim(-7, 107)
            means = ", ".join(f"{row.label} {np.mean(row.values):.1f}" for row in rows)
            words.append(f"1:{ratio}: {means}")
        panels[-1].set_xlabel("test images answered rightly, %")
        alt = f"{title} Balanced accuracy, %, chance {CHANCE:.0f}. " + "; ".join(words) + "."
        return ClaimFigure("recall.png", render_png(figure, alt), alt)


def _draw_span(axes: Axes, place: int, said: Sequence[Predictions]) -> None:
    """Draw a line from the recall of one class to that of the other, with their names."""
    ends = sorted((recall(said, label), LABELS[label]) for label in (0, 1))
    axes.plot([share for share, _ in ends], [place] * 2, **SPAN)
    middle = mean_interval(balanced(said))
    inner = [middle.mean or 0.0, middle.low, middle.high]
    shares = [share for share, _ in ends] + [share for share in inner if share is not None]
    look: dict[str, Any] = {"fontsize": 9.5, "color": FAINT, "va": "center"}
    axes.text(min(shares) - 1.4, place, ends[0][1], ha="right", **look)
    axes.text(max(shares) + 1.4, place, ends[1][1], ha="left", **look)


def notes_of(said: Said, size: Size) -> tuple[str, ...]:
    labels = said[PLAIN, RATIOS[0]][0].labels
    dogs, cats = np.bincount(labels, minlength=2)
    return (
        f"Cats are taken from the training images only: {dogs:,} dogs and {cats:,} cats are "
        "tested on, and the validation images, on which learning rates are chosen by accuracy, "
        "keep their share of cats too.",
        f"{size.epochs} epochs for each network and {size.search_epochs} for each of the search. "
        "Where a loss answers 'dog' to everything at every rate of the search, no rate is better "
        "than another, and the lowest is taken.",
        "Weights are N / (2 n_c). What a weight does is known to fade in long training of networks "
        "that can fit every image (Byrd and Lipton 2019); few epochs do not test that.",
    )


CLAIM = Claim(
    name="imbalance",
    question="When one class is rare, does it matter which loss is trained with?",
    claim=(
        "It does: told how rare the class is, by weights or by logit adjustment, cross-entropy "
        "finds it again, and better than focal loss, which is not told."
    ),
    refuted_by=(
        f"Weights or logit adjustment gain less than {GAIN:g} points of balanced accuracy over "
        f"plain cross-entropy, or logit adjustment less than {GAIN:g} over focal loss, with 10 or "
        "with 50 dogs for a cat."
    ),
    procedure=(
        "Cats are thinned out to 1 for 10 dogs and 1 for 50 in training, not in the test. Plain "
        "cross-entropy, cross-entropy with class weights N / (2 n_c), focal loss (gamma = 2) and "
        "logit-adjusted cross-entropy, each with the learning rate that is best for it on "
        "validation images with the same imbalance in training, from the same grid. Differences "
        "in balanced accuracy, paired by seed: weighted minus plain, logit-adjusted minus plain "
        f"and logit-adjusted minus focal must each be above {signed(GAIN, None)} points at both "
        "ratios. An interval is 95 %, for other seeds and other test images together; the six "
        "p-values are corrected by Holm."
    ),
    source=(
        "Menon et al. 2021, arXiv 2007.07314 (logit adjustment); Lin et al. 2017, arXiv 1708.02002 "
        "(focal loss); Byrd and Lipton 2019, arXiv 1812.03372 (weights)"
    ),
    examine=examine,
)
