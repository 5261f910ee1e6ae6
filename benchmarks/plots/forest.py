"""differences.png: a forest plot of the differences in test accuracy from cross-entropy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lossbench.benchmarks.format import interval_points
from lossbench.benchmarks.stats.intervals import Interval

from .canvas import SYNTHETIC, short_name
from .intervals import IntervalRow, RowPanel, draw_intervals

MIN_LIMIT = 2.0
"""Smallest limit of the x axis in points, so that small differences look small."""
TITLE = "Which losses end better or worse than cross-entropy?"


def differences_panel(
    differences: Mapping[str, Mapping[str, Any]], margin: float, words: Mapping[str, str]
) -> RowPanel:
    """Return one row per loss, best first: the mean difference in test accuracy with its intervals.

    The bar is the 95 % interval, its thick part that of 90 %. A loss is equivalent if the thick
    part lies within the shaded values. The marker of an undecided loss is hollow.

    Args:
        differences: `minus_cross_entropy` of summary.json, by loss; not empty.
        margin: largest difference that counts as none, a fraction: half the width of the shade.
        words: verdict of each loss in words.
    """
    ranked = sorted(differences.items(), key=lambda item: -item[1]["mean"])
    limit = axis_limit([each for _, each in ranked])
    return RowPanel(
        [_row(name, each, words[name], 100 * margin) for name, each in ranked],
        "test accuracy minus that of cross-entropy, percentage points\n← worse            better →",
        TITLE,
        references={0.0: ""},
        limits=(-limit, limit),
    )


def caption(differences: Mapping[str, Mapping[str, Any]], margin: float) -> str:
    """Say what marker, bar and shade are."""
    seeds = sorted({each["n"] for each in differences.values()})
    over = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"Marker: mean over {over} paired seed{'s'[: over != '1']}, hollow if undecided. Bar: 95 % "
        f"interval; thick: 90 %. Equivalent: thick within ±{100 * margin:g} points, which are "
        "shaded."
    )


def draw_differences(
    differences: Mapping[str, Mapping[str, Any]],
    margin: float,
    words: Mapping[str, str],
    *,
    synthetic: bool,
) -> bytes | None:
    """Draw `differences_panel` as a PNG; return None without differences.

    Args:
        differences, margin, words: as there.
        synthetic: stamp the figure.
    """
    if not differences:
        return None
    panel = differences_panel(differences, margin, words)
    description = "test accuracy minus that of cross-entropy"
    return draw_intervals(
        [replace(panel, title="")],
        title=TITLE,
        caption=caption(differences, margin),
        description=f"{SYNTHETIC}: {description}" if synthetic else description,
        synthetic=synthetic,
    )


def axis_limit(differences: Sequence[Mapping[str, Any]]) -> float:
    """Return how many points to either side of 0 the x axis shows.

    It fits most losses. One that fails altogether would flatten the others, so it is left outside.
    """
    extents: list[float] = sorted(
        100 * max(abs(end) for end in (each["mean"], each["low"], each["high"]) if end is not None)
        for each in differences
    )
    median = extents[(len(extents) - 1) // 2]
    fitting = [each for each in extents if each <= max(3 * median, MIN_LIMIT)]
    return 1.08 * max(MIN_LIMIT, *fitting)


def _row(name: str, difference: Mapping[str, Any], word: str, margin: float) -> IntervalRow:
    points = {
        key: None if difference[key] is None else 100 * difference[key]
        for key in ("mean", "low", "high", "low_90", "high_90")
    }
    low, high = points["low_90"], points["high_90"]
    return IntervalRow(
        short_name(name),
        name,
        Interval(points["mean"], points["low"], points["high"], difference["n"]),
        text=interval_points(difference, signed=True),
        verdict=word,
        hollow=difference["verdict"] == "undecided",
        expected=(-margin, margin),
        inner=None if low is None or high is None else (low, high),
    )
