"""Sequential tests of a paired difference: several looks at a growing number of seeds, one error.

Testing at 5 % after 5, 8, 12, 18, 27 and 40 seeds and stopping at the first p below 0.05 is wrong
in 17.7 % of the cases without a difference. Here every look has the same smaller level, at which
all looks together are wrong in 5 % (Pocock, 1977, Biometrika 64, 191-199; Jennison and Turnbull,
1999, Group Sequential Methods, chapters 2, 6 and 8). Their tables hold for a known variance. The
level here is exact for the t test of normal differences, however few there are. The claims use
these levels (`evidence.design`).

The t statistics of the looks are a Markov chain. With x the differences so far, n of them, and
c = sum(x) / (sqrt(n) |x|), t = c sqrt((n - 1) / (1 - c²)). The next m differences have the sum
b sqrt(m). All of them are x', and

    c' = (sqrt(n) c A + sqrt(m) B) / sqrt(n + m),   A = |x| / |x'|,   B = b / |x'|.

Without a true difference the direction of x' is uniform, so A² has the distribution
Beta(n/2, m/2), and B = sqrt(1 - A²) sin(w), w with density proportional to cos(w)^(m - 2), both
independent of c. The probability to stay within the bounds is integrated look by look, from the
last to the first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Literal

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from .intervals import check_fraction

LOOKS = (5, 8, 12, 18, 27, 40)
"""Numbers of paired seeds after which a claim is tested."""

ERROR = 0.05
"""Probability of a wrong decision over all looks."""

Sides = Literal[1, 2]
Floats = NDArray[np.float64]

_NODES = 32
"""Nodes of each quadrature; twice as many change a level by less than 1e-5."""


@cache
def nominal_level(looks: tuple[int, ...] = LOOKS, error: float = ERROR, sides: Sides = 2) -> float:
    """Return the p below which each look rejects, so that the error over all looks is `error`.

    Args:
        looks: numbers of differences, each at least 2 above the one before.
        error: probability of any rejection without a true difference, between 0 and 1.
        sides: 2, or 1 for a one-sided test. The equivalence test rejects "as large as the margin"
            and "as small as minus the margin" by a one-sided test each. Only one of the two can be
            wrong.

    Raises:
        ValueError: an argument is out of range.

    >>> round(nominal_level(), 4)
    0.0119
    """
    check_fraction("error", error)
    crossing_probability(looks, error, sides)  # it checks the other arguments
    if len(looks) == 1:
        return error
    from scipy.optimize import brentq

    # Between one look at all the error and as many independent ones.
    return float(
        brentq(
            lambda level: crossing_probability(looks, level, sides) - error,
            error / len(looks),
            error,
            xtol=1e-9,
        )
    )


def crossing_probability(looks: tuple[int, ...], level: float, sides: Sides = 2) -> float:
    """Return the probability that a t test without a true difference has p < `level` at any look.

    Args:
        looks: numbers of normal differences, each at least 2 above the one before.
        level: significance level of each look, between 0 and 1.
        sides: of the t test.

    Raises:
        ValueError: an argument is out of range.
    """
    check_fraction("level", level)
    if sides not in (1, 2):
        raise ValueError(f"a test has 1 or 2 sides, not {sides!r}")
    if not looks or any(b - a < 2 for a, b in zip((0, *looks), looks, strict=False)):
        raise ValueError(f"each look needs 2 differences more than the one before: {looks!r}")
    from scipy.stats import t

    critical = [float(t.ppf(1 - level / sides, n - 1)) for n in looks]
    high = [each / math.sqrt(each**2 + n - 1) for each, n in zip(critical, looks, strict=True)]
    bounds = [(-each if sides == 2 else -1.0, each) for each in high]
    # Probability to stay until the end, given c: a Chebyshev series over the bounds of c.
    stays = np.ones(1)
    for k in reversed(range(1, len(looks))):
        stays = _step(looks[k - 1], looks[k] - looks[k - 1], bounds[k - 1], bounds[k], stays)
    start, end = np.arcsin(bounds[0])
    return 1 - float(_integrate(lambda w: np.sin(w), start, end, looks[0], bounds[0], stays))


def _step(
    n: int, m: int, bounds: tuple[float, float], following: tuple[float, float], stays: Floats
) -> Floats:
    """Return the series of the probability to stay, given c after n differences, from that given c'
    after m more."""
    from scipy.stats import beta

    nodes, _ = legendre.leggauss(_NODES)
    quantiles, weights = legendre.leggauss(2 * _NODES)
    c = (bounds[0] + bounds[1]) / 2 + (bounds[1] - bounds[0]) / 2 * nodes[:, None]
    a = np.sqrt(beta.ppf((quantiles + 1) / 2, n / 2, m / 2))
    shift, scale = math.sqrt(n) * c * a, np.sqrt(m * (1 - a**2))
    start, end = (
        np.arcsin(np.clip((math.sqrt(n + m) * bound - shift) / scale, -1, 1)) for bound in following
    )

    def next_c(w: Floats) -> Floats:
        return np.asarray((shift + scale * np.sin(w)) / math.sqrt(n + m))

    given = _integrate(next_c, start, end, m, following, stays) @ weights / 2
    return np.asarray(chebyshev.chebfit(nodes, given, _NODES - 1))


def _integrate(
    c: Callable[[Floats], Floats],
    start: Floats,
    end: Floats,
    m: int,
    bounds: tuple[float, float],
    stays: Floats,
) -> Floats:
    """Return the mean of `stays` at c(w), for w from `start` to `end`, with density proportional to
    cos(w)^(m - 2) on (-pi/2, pi/2)."""
    nodes, weights = legendre.leggauss(_NODES)
    total = np.zeros_like(start)
    for node, weight in zip(nodes, weights, strict=True):
        w = (start + end) / 2 + (end - start) / 2 * node
        place = (2 * c(w) - bounds[0] - bounds[1]) / (bounds[1] - bounds[0])
        total += weight * chebyshev.chebval(place, stays) * np.cos(w) ** (m - 2)
    constant = math.exp(math.lgamma(m / 2) - math.lgamma((m - 1) / 2)) / math.sqrt(math.pi)
    return np.asarray(constant * (end - start) / 2 * total)
