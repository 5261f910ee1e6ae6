"""Formulas of all losses as their papers write them, in arithmetic of 160 digits.

One formula per loss, with the arguments that it is registered with. It is a function of what the
loss takes and of its target, and independent of how `losses` computes it. Under a logarithm, 1 - p
is the sum of the other classes' probabilities: at logits of 1e4 no number of digits is enough for
the subtraction.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from mpmath import mp

m: Any = mp.clone()  # a context of its own, because precision is global
m.dps = 160

Number = Any
Row = tuple[Any, ...]
cached = lru_cache(maxsize=100_000)

exp = cached(m.exp)
ln = cached(m.log)


@cached
def sigma(z: Number) -> Number:
    return 1 / (1 + exp(-z))


@cached
def softmax(z: Row) -> Row:
    e = [exp(x) for x in z]
    total = sum(e)
    return tuple(x / total for x in e)


@cached
def complement(z: Row) -> Row:
    """Return 1 - softmax(z)."""
    p = softmax(z)
    return tuple(sum(p[:at] + p[at + 1 :]) for at in range(len(p)))


def positive(x: Number) -> Number:
    return max(x, m.mpf(0))


def times(t: Number, x: Number) -> Number:
    """Return t x, or 0 where t is 0 and x may be infinite."""
    return t * x if t else m.mpf(0)


def dot(a: Row, b: Row) -> Number:
    return sum(times(x, y) for x, y in zip(a, b, strict=True))


# --- losses of one number x and a target t -------------------------------------------------------


def binary(of_right: Callable[[Number, Number], Number]) -> Callable[[Number, Number], Number]:
    """Return the loss of a logit that is `of_right(p, 1 - p)`, p the right class's probability."""

    def loss(z: Number, t: Number) -> Number:
        if t == 1:
            return of_right(sigma(z), sigma(-z))
        if t == 0:
            return of_right(sigma(-z), sigma(z))
        return t * of_right(sigma(z), sigma(-z)) + (1 - t) * of_right(sigma(-z), sigma(z))

    return loss


def hinge(power: int) -> Callable[[Number, Number], Number]:
    return lambda z, t: times(t, positive(1 - z) ** power) + times(1 - t, positive(1 + z) ** power)


def bounded_ln(x: Number) -> Number:
    return max(ln(x), m.mpf(-100)) if x else m.mpf(-100)


def focal(z: Number, t: Number) -> Number:
    # torchvision's interpolation between the two classes.
    p, q = sigma(z), sigma(-z)
    cross_entropy = times(t, -ln(p)) + times(1 - t, -ln(q))
    alpha = t / 4 + (1 - t) * 3 / 4
    return alpha * (1 - (p * t + q * (1 - t))) ** 2 * cross_entropy


def asymmetric(z: Number, t: Number) -> Number:
    # The paper's gamma+ = 0, gamma- = 4 and m = 1/20; 1 - (p - m) is 1 - p + m.
    p, q, clip = sigma(z), sigma(-z), m.mpf(1) / 20
    shifted = positive(p - clip)
    log = ln(q + clip) if shifted else m.mpf(0)
    return times(t, -ln(p)) + times(1 - t, -(shifted**4) * log)


def squared_logs(p: Row, t: Row) -> Number:
    return sum(times(b, ln(a)) ** 2 for a, b in zip(p, t, strict=True))


def symmetric(p: Row, t: Row) -> Number:
    """Return a tenth of H(t, p), plus H(p, t) with ln t at least -4."""
    forward = sum(times(b, -ln(a)) for a, b in zip(p, t, strict=True))
    reverse = -sum(a * (max(ln(b), m.mpf(-4)) if b else -4) for a, b in zip(p, t, strict=True))
    return forward / 10 + reverse


def tempered(a: Row) -> Row:
    """Return the tempered softmax with t2 = 6/5: exp_t2(x) = (1 - x / 5)^-5 of a - lambda."""
    # With w = lambda / 5 + 1 it is sum (w - a / 5)^-5 = 1. The largest term alone gives 1 at
    # w = 1 + max(a) / 5, and the sum is convex in w: Newton's steps climb from there.
    w = 1 + max(a) / 5
    for _ in range(200):
        terms = [w - x / 5 for x in a]
        step = (sum(x**-5 for x in terms) - 1) / (5 * sum(x**-6 for x in terms))
        w += step
        if abs(step) <= m.mpf(10) ** -150 * abs(w):
            break
    return tuple((w - x / 5) ** -5 for x in a)


def bi_tempered(a: Row, t: Row) -> Number:
    """Return sum_c t (log_t1 t - log_t1 p) - (t^(2 - t1) - p^(2 - t1)) / (2 - t1), t1 = 4/5."""
    return sum(
        times(b, 5 * (m.root(b, 5) - m.root(p, 5)))
        - (times(b, m.root(b, 5)) - p * m.root(p, 5)) * 5 / 6
        for p, b in zip(tempered(a), t, strict=True)
    )


ONE: dict[str, Callable[[Number, Number], Number]] = {
    "zero-one": lambda z, t: 1 - t if z > 0 else t,
    "probability-sum": lambda z, t: 1 - (t * sigma(z) + (1 - t) * (1 - sigma(z))),
    "bce": lambda x, t: -(t * bounded_ln(x) + (1 - t) * bounded_ln(1 - x)),
    "bce-with-logits": binary(lambda p, _q: -ln(p)),
    "sigmoid-mse": lambda z, t: (sigma(z) - t) ** 2 / 2,
    "mse": lambda x, t: (x - t) ** 2,
    "l1": lambda x, t: abs(x - t),
    "hinge": hinge(1),
    "squared-hinge": hinge(2),
    "cubed-hinge": hinge(3),
    "focal": focal,
    "asymmetric": asymmetric,
    "sigmoid-poly-1": binary(lambda p, q: -ln(p) + q),
    "sigmoid-generalized-cross-entropy": binary(
        lambda p, _q: (1 - p ** (m.mpf(7) / 10)) / (m.mpf(7) / 10)
    ),
    "sigmoid-squared-log": lambda z, t: squared_logs((sigma(-z), sigma(z)), (1 - t, t)),
    "sigmoid-symmetric-cross-entropy": lambda z, t: symmetric((sigma(-z), sigma(z)), (1 - t, t)),
    "sigmoid-bi-tempered-logistic": lambda z, t: bi_tempered((m.mpf(0), z), (1 - t, t)),
    "soft-margin": lambda z, t: ln(1 + exp(-t * z)),
    "hinge-embedding": lambda x, t: x if t == 1 else positive(1 - x),
}

# Gradients that are bounded by definition, and so not the derivative of the value.
SLOPES: dict[str, Callable[[Number, Number], Number]] = {
    "bce": lambda x, t: (x - t) / max(x * (1 - x), m.mpf(10) ** -12),
}


# --- losses of a row z and a row of targets t ----------------------------------------------------


def expected(of_right: Callable[[Number, Number], Number]) -> Callable[[Row, Row], Number]:
    """Return the loss of a row that is `of_right(p, 1 - p)`, p the right class's probability."""

    def loss(z: Row, t: Row) -> Number:
        parts = zip(softmax(z), complement(z), t, strict=True)
        return sum(b * of_right(p, q) for p, q, b in parts if b)

    return loss


def cross_entropy(z: Row, t: Row) -> Number:
    return expected(lambda p, _q: -ln(p))(z, t)


def label_smoothing(z: Row, t: Row) -> Number:
    return cross_entropy(z, tuple(b * 9 / 10 + m.mpf(1) / 10 / len(t) for b in t))


def partition(z: Row) -> Number:
    return ln(sum(exp(x) for x in z))


def soft_cap(z: Number) -> Number:
    e = exp(-2 * abs(z) / 30)
    return m.sign(z) * 30 * (1 - e) / (1 + e)


def bernoulli_sum(z: Row, t: Row) -> Number:
    of_class = zip(softmax(z), complement(z), t, strict=True)
    return -sum(
        (b * ln(p) if b else 0) + ((1 - b) * ln(q) if b != 1 else 0) for p, q, b in of_class
    )


def tanimoto(z: Row, t: Row) -> Number:
    p = softmax(z)
    both = dot(p, t)
    return -both / (dot(p, p) + dot(t, t) - both)


def cauchy_schwarz(z: Row, t: Row) -> Number:
    p = softmax(z)
    return -ln(dot(p, t) / m.sqrt(dot(p, p) * dot(t, t)))


def multi_margin(z: Row, t: Row) -> Number:
    y = t.index(1)
    return sum(positive(1 - z[y] + x) for at, x in enumerate(z) if at != y) / len(z)


def multilabel_margin(z: Row, t: Row) -> Number:
    of, others = ([x for x, b in zip(z, t, strict=True) if b == hit] for hit in (1, 0))
    return m.mpf(sum(positive(1 - (a - b)) for a in of for b in others)) / len(z)


def one_vs_rest(power: int) -> Callable[[Row, Row], Number]:
    half = m.mpf(1) / 2
    return lambda z, t: sum(
        times(b, positive(half - x) ** power) + times(1 - b, positive(half + x) ** power)
        for x, b in zip(z, t, strict=True)
    )


def distillation(z: Row, a: Row) -> Number:
    p, t = softmax(tuple(x / 2 for x in z)), softmax(tuple(x / 2 for x in a))
    return 4 * sum(b * (ln(b) - ln(x)) for x, b in zip(p, t, strict=True) if b)


def squentropy(z: Row, t: Row) -> Number:
    return cross_entropy(z, t) + dot(tuple(1 - b for b in t), tuple(x**2 for x in z)) / (len(z) - 1)


def multiclass_zero_one(z: Row, t: Row) -> Number:
    return sum(t) - t[max(range(len(z)), key=lambda at: z[at])]


ROWS: dict[str, Callable[[Row, Row], Number]] = {
    "cross-entropy": cross_entropy,
    "nll": lambda x, t: -dot(t, x),
    "softmax-mse": lambda z, t: sum((p - b) ** 2 for p, b in zip(softmax(z), t, strict=True)),
    "bernoulli-sum": bernoulli_sum,
    "softmax-focal": expected(lambda p, q: q**2 * -ln(p)),
    "softmax-probability-sum": expected(lambda p, _q: 1 - p),
    "multiclass-zero-one": multiclass_zero_one,
    "kl-div": lambda x, t: sum(b * (ln(b) - a) for a, b in zip(x, t, strict=True) if b),
    "multi-margin": multi_margin,
    "multilabel-margin": multilabel_margin,
    "multilabel-soft-margin": lambda z, t: sum(map(ONE["bce-with-logits"], z, t)) / len(z),
    "label-smoothing": label_smoothing,
    "logit-adjusted": cross_entropy,  # classes that are equally frequent
    "balanced-softmax": cross_entropy,
    "ldam": lambda z, t: cross_entropy(
        tuple(30 * (x - b / 2) for x, b in zip(z, t, strict=True)), t
    ),
    "distillation": distillation,
    "z-loss": lambda z, t: cross_entropy(z, t) + m.mpf(10) ** -4 * partition(z) ** 2,
    "soft-capped": lambda z, t: cross_entropy(tuple(map(soft_cap, z)), t),
    "poly-1": expected(lambda p, q: -ln(p) + q),
    "generalized-cross-entropy": expected(
        lambda p, _q: (1 - p ** (m.mpf(7) / 10)) / (m.mpf(7) / 10)
    ),
    "symmetric-cross-entropy": lambda z, t: symmetric(softmax(z), t),
    "squared-log": lambda z, t: sum(
        times(b, ln(p)) ** 2 for p, b in zip(softmax(z), t, strict=True)
    ),
    "bi-tempered-logistic": bi_tempered,
    "squentropy": squentropy,
    "rescaled-square": lambda z, t: sum((x - b) ** 2 for x, b in zip(z, t, strict=True)) / len(z),
    "expectation": lambda z, t: sum(abs(p - b) for p, b in zip(softmax(z), t, strict=True)),
    "chebyshev": lambda z, t: max(abs(p - b) for p, b in zip(softmax(z), t, strict=True)),
    "tanimoto": tanimoto,
    "cauchy-schwarz": cauchy_schwarz,
    "one-vs-rest-l1": lambda z, t: sum(abs(x - b) for x, b in zip(z, t, strict=True)),
    "one-vs-rest-hinge": one_vs_rest(1),
    "one-vs-rest-squared-hinge": one_vs_rest(2),
    "one-vs-rest-cubed-hinge": one_vs_rest(3),
}
