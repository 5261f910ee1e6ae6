"""Text of numbers and nouns, the same in every table, figure and page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
FEW_IMAGES = 100
"""Number of images below which an accuracy is known to no more than 10 points."""


def percent(fraction: float | None, digits: int = 1) -> str:
    """Format a fraction in percent: 0.7812 as 78.1."""
    return MISSING if fraction is None else f"{100 * fraction:.{digits}f}"


def signed_points(fraction: float) -> str:
    """Format a difference of fractions in points: 0.012 as +1.2, -0.012 as −1.2."""
    text = f"{100 * fraction:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def interval_points(interval: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    """Format an interval of fractions in percent: '74.1 ± 1.4'.

    Args:
        interval: mean, low and high, of which low and high, or the mean too, may be None.
        signed: write a sign, for a difference.
    """
    if interval is None or interval["mean"] is None:
        return MISSING
    text = signed_points(interval["mean"]) if signed else percent(interval["mean"])
    if interval["high"] is None:
        return text
    return f"{text} ± {100 * (interval['high'] - interval['mean']):.1f}"


def number(value: float | None) -> str:
    """Format a number with three digits or more, and a minus sign as wide as a plus."""
    if value is None:
        return MISSING
    size = abs(value)
    text = f"{size:,.0f}" if size >= 999.5 else magnitude(size)
    return f"{MINUS}{text}" if value < 0 else text


def magnitude(value: float | None) -> str:
    """Format a number of any size with three digits; only an exact zero is '0'."""
    if value is None or value == 0:
        return MISSING if value is None else "0"
    if not math.isfinite(value):
        return str(value)
    if 1e-3 <= abs(value) < 999.5:
        return f"{value:#.3g}".rstrip(".")
    if 1e-3 <= abs(value) < 1e4:
        return f"{value:,.0f}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits}e{int(exponent)}"


def pvalue(p: float | None) -> str:
    """Format a p-value with three decimals."""
    if p is None:
        return MISSING
    return f"{p:.3f}" if p >= 0.0005 else "< 0.001"


def duration(seconds: float) -> str:
    """Format seconds: 3723 as '1 h 2 min', 75 as '1 min 15 s', 4 as '4 s'."""
    total = round(seconds)
    if total >= 3600:
        return f"{total // 3600} h {total % 3600 // 60} min"
    return f"{total // 60} min {total % 60} s" if total >= 60 else f"{total} s"


def indefinite_article(noun: str) -> str:
    """Put 'a' or 'an' before a noun."""
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def plural(count: int, one: str, more: str = "") -> str:
    """Format a count with its noun: '1 loss', '2 losses'; `more` is `one` with an s by default."""
    return f"{count:,} {one if count == 1 else more or one + 's'}"


def few_images(count: int | None, split: str) -> list[str]:
    """Return the caution that accuracies of a split need, if it is small: a line, or none.

    Args:
        count: number of its images; None or 0 if it is not known.
        split: test or validation.
    """
    if not count or count >= FEW_IMAGES:
        return []
    # Half the 95 % interval of a share of one half, the widest.
    margin = 1.96 * math.sqrt(0.25 / count)
    return [
        f"only {plural(count, f'{split} image')}: an accuracy is known to ± {100 * margin:.0f} "
        "points (95 %), and smaller differences between losses say little"
    ]


def describe_split(total: int, counts: Sequence[int], classes: Sequence[str]) -> str:
    """Describe a split by class: '2,000 (1,000 dog, 1,000 cat)'."""
    if not total:
        return "none"
    if len(classes) == len(counts) == 2:
        by_class = ", ".join(f"{n:,} {name}" for n, name in zip(counts, classes, strict=True))
    elif counts and min(counts) == max(counts):
        by_class = f"{counts[0]:,} of each class"
    elif counts:
        by_class = f"{min(counts):,} to {max(counts):,} of each class"
    else:
        return f"{total:,}"
    return f"{total:,} ({by_class})"
