"""The steps of the article that lossbench began with, each with the numbers of three images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from lossbench.benchmarks.format import MINUS, number
from lossbench.benchmarks.report.document import Table
from lossbench.benchmarks.stats.likelihood import (
    Array,
    log_of_sum,
    minus_log_product,
    slip,
    slip_gradient,
)

from .numbers import THIRD_CLASS_LOGIT, Images, evaluate, steps_until_right

BEST, WRONG, DOG = range(3)
"""Indices of the cat that is right, the cat that is confidently wrong, and the dog."""
FAR = -1000.0
"""Logit of a dog that is as sure as no network is."""


@dataclass(frozen=True)
class Step:
    """A step of the article.

    Attributes:
        title: heading.
        says: what the article says, in other words than its own.
        formulas: a line each.
        table: the numbers of the three images.
        right: what is right about it.
        slips: what is not.
        claims: names of the claims that measure it, each with the indices of its figures that
            show it; the verdict comes with the first figure.
    """

    title: str
    says: str
    formulas: tuple[str, ...]
    table: Table
    right: str
    slips: str
    claims: tuple[tuple[str, tuple[int, ...]], ...]


Row = tuple[str, Array] | tuple[str, Array, float]
"""Name, a number per image, and perhaps their total."""


def table(images: Images, *rows: Row) -> Table:
    """Return a table with a column per image, and one for the totals if there are any."""
    columns = ("quantity", *images.names, *["all"] * any(len(row) == 3 for row in rows))
    return Table(columns, tuple(_cells(len(columns), *row) for row in rows))


def _cells(count: int, name: str, values: Array, *total: float) -> tuple[str, ...]:
    numbers = [*values.tolist(), *total]
    whole = all(map(float.is_integer, numbers))
    texts = [f"{x:.0f}".replace("-", MINUS) if whole else number(x) for x in numbers]
    return (name, *texts, *[""] * (count - 1 - len(texts)))


def size(gradient: Array, index: int) -> str:
    """Format the size of the gradient at an image."""
    return number(abs(float(gradient[index])))


def summed(name: str, values: Array) -> tuple[str, Array, float]:
    """Return a row whose total is the sum of its numbers."""
    return name, values, float(values.sum())


def count_of_errors(images: Images) -> Step:
    """Step 1: the 0/1 count."""
    value, gradient = evaluate("zero-one", images)
    return Step(
        "Count the errors",
        "A prediction is right or wrong, so the first idea is to count the wrong ones.",
        ("L = Σ [prediction ≠ t]", "dL/dz = 0"),
        table(images, summed("errors", value), ("dL/dz", gradient)),
        f"It is what one wants to know in the end: {value.sum():.0f} of {len(value)} is wrong.",
        "Nothing is wrong with the count, but nothing can be learnt from it. When a logit changes "
        "a little, the count stays the same: its gradient is 0 for every image, right or wrong.",
        (("zero-one", (0,)),),
    )


def sum_of_probabilities(images: Images) -> Step:
    """Step 2: y1 + y2 + (1 - y3)."""
    (y1, y2, y3), p = map(number, images.f.tolist()), images.p
    value, gradient = evaluate("probability-sum", images)
    best, wrong, _ = images.names
    return Step(
        "Add up the probabilities",
        "Instead of predictions, take the probabilities y = f of a cat. For two cats and a dog, "
        "make y1 + y2 + (1 - y3) large. The article leaves this sum because one does not know how "
        "large is large.",
        (
            f"y1 + y2 + (1 - y3) = {y1} + {y2} + (1 - {y3}) = {number(float(p.sum()))}",
            "L = Σ (1 - p),  dL/dz = (1 - 2t) f (1 - f)",
        ),
        table(images, summed("p", p), summed("1 - p", value), ("dL/dz", gradient)),
        "The sum changes a little when a logit changes a little: it has a gradient.",
        "One does know how large is large. A probability is at most 1, so the sum is at most "
        f"{len(p)}. Minimise 1 - p instead: its sum, {number(float(value.sum()))} here, tends to 0 "
        "as the model becomes right and sure. It is the number of errors to expect if predictions "
        "are drawn with the model's probabilities. The reason to leave the sum is its gradient, "
        f"whose size is {size(gradient, WRONG)} for {wrong}, the only error, and "
        f"{size(gradient, BEST)} for {best}, which is right. With z as the only parameter and a "
        f"learning rate of 1, {wrong} is right after "
        f"{steps_until_right('probability-sum', images, WRONG)} steps.",
        (("probability-sum", (0,)),),
    )


def likelihood(images: Images) -> Step:
    """Step 3: the product of the probabilities and its logarithm."""
    value, gradient = evaluate("nll", images)
    _, of_one = evaluate("probability-sum", images)
    p, wrong = images.p, images.names[WRONG]
    of_sum, slope = log_of_sum(images.z, images.t), of_one / p.sum()
    product, whole = float(p.prod()), len(p) * minus_log_product(images.z, images.t)
    return Step(
        "Multiply them, and take the logarithm",
        "Three independent predictions are right at once with the product of the probabilities, "
        "the likelihood. Its logarithm is a sum, which is easier to differentiate. The article "
        "takes the logarithm of the sum of the probabilities here, and goes on with the sum of "
        "their logarithms.",
        (
            f"y1 y2 (1 - y3) = {' × '.join(map(number, p.tolist()))} = {number(product)}",
            "-ln [y1 y2 (1 - y3)] = -ln y1 - ln y2 - ln(1 - y3)",
        ),
        table(
            images,
            ("p, and their product", p, product),
            ("-ln p, and -ln of the product", value, whole),
            ("dL/dz", gradient),
            ("slip: -ln of the sum, dL/dz", slope),
        ),
        "Minus the logarithm of the likelihood is at least 0 and tends to 0 as the model becomes "
        f"right and sure. It is {number(whole)} for the three images, {number(whole / len(p))} per "
        f"image. The size of its gradient for {wrong} is {size(gradient, WRONG)}, "
        f"{number(float(gradient[WRONG] / of_one[WRONG]))} times that of the sum of probabilities.",
        "The logarithm of a sum is not the sum of the logarithms; that of a product is. Minus the "
        f"logarithm of the sum {number(float(p.sum()))} would be {number(-of_sum)}. Its gradient "
        f"is that of the sum, divided by the sum: {size(slope, WRONG)} in size for {wrong}. It "
        "would vanish as before, and nothing would be gained by the logarithm. What the article "
        "goes on with is right.",
        (("likelihood", (0,)),),
    )


def binary_cross_entropy(images: Images) -> Step:
    """Step 4: one formula for both classes, and the term ln(1 - ln f)."""
    value, gradient = evaluate("bce-with-logits", images)
    printed, slope = slip(images.z, images.t), slip_gradient(images.z, images.t)
    # A dog whose prediction is as wrong as that of the cat.
    mistaken = replace(images, logits=(-images.logits[WRONG],), targets=(0,))
    _, right_slope = evaluate("bce-with-logits", mistaken)
    vanished = slip_gradient(mistaken.z, mistaken.t)
    (far,) = slip(np.array([FAR]), np.zeros(1)).tolist()
    return Step(
        "One formula for cats and dogs",
        "With t as a switch, one formula has the term of a cat and the term of a dog. The "
        "article's final formula has ln(1 - ln f) as the term of a dog.",
        (
            "L = -Σ [t ln f + (1 - t) ln(1 - f)],  dL/dz = f - t",
            "printed: -Σ [t ln f + (1 - t) ln(1 - ln f)]",
        ),
        table(
            images,
            summed("binary cross-entropy", value),
            summed("slip: as printed", printed),
            ("dL/dz", gradient),
            ("slip: as printed, dL/dz", slope),
        ),
        "It is minus the logarithm of the likelihood in one formula: the binary cross-entropy.",
        f"The term is ln(1 - f). The printed one gives {number(float(printed[DOG]))} for the dog, "
        f"where {number(float(value[DOG]))} is right. It has no lower bound: at z = {number(FAR)} "
        f"it gives {number(far)}, and it falls on as minus the logarithm of the logit's size. Its "
        f"gradient (1 - f) / (1 - ln f) is {size(slope, DOG)} for the dog, which is right. For a "
        f"dog at z = {mistaken.logits[0]:g}, as wrong as {images.names[WRONG]}, it is "
        f"{size(vanished, 0)} where {size(right_slope, 0)} is right: it vanishes where the model "
        "is confidently wrong.",
        (("likelihood", (1,)),),
    )


def two_distributions(images: Images) -> Step:
    """Step 5: cross-entropy between the targets and the predictions."""
    value, _ = evaluate("cross-entropy", images)
    divergence, gradient = evaluate("kl-div", images)
    return Step(
        "Cross-entropy between two distributions",
        "The same loss is the cross-entropy of two distributions: p is that of the label and q "
        "that of the model.",
        ("H(p, q) = -Σ p ln q,  p = (t, 1 - t),  q = (f, 1 - f)",),
        table(
            images,
            ("p of a cat", images.t),
            ("q of a cat", images.f),
            summed("H(p, q)", value),
            summed("KL(p, q) = H(p, q) - H(p)", divergence),
            ("dL/dz of both", gradient),
        ),
        "It is the same number for every image. A label that is certain has the entropy H(p) = 0, "
        "so the Kullback-Leibler divergence is the same number too. With labels that are not "
        "certain, the two differ by H(p), which no model can change, and have the same gradient.",
        "Nothing.",
        (("likelihood", (0,)),),
    )


def error_and_learning_rate(images: Images) -> Step:
    """Step 6: the gradient is the error."""
    _, gradient = evaluate("bce-with-logits", images)
    best, wrong, _ = images.names
    return Step(
        "The learning rate can be controlled by the error",
        "The gradient of this loss is the error f - t. So the error controls the learning rate.",
        ("dL/dz = f - t",),
        table(
            images,
            ("f", images.f),
            ("t", images.t),
            ("dL/dz = f - t", gradient),
            ("z", images.z),
            ("z after a step, learning rate 1", images.z - gradient),
        ),
        f"The gradient is the error itself: {number(float(gradient[WRONG]))} for {wrong}, "
        f"{number(float(gradient[WRONG] / gradient[BEST]))} times that for {best}. With z as the "
        f"only parameter and a learning rate of 1, {wrong} is right after "
        f"{steps_until_right('bce-with-logits', images, WRONG)} steps.",
        "The error controls the step, not the learning rate, which is one factor for all images. "
        "A parameter w moves by that factor times the sum of (f - t) dz/dw, so the error is one of "
        "two factors in a step. And Adam divides by the size that the gradients of w have had, "
        "which takes part of this control away.",
        (("error-driven", (0,)), ("optimiser", (0,))),
    )


def squared_error(images: Images) -> Step:
    """Step 7: half the squared error of a sigmoid."""
    value, gradient = evaluate("sigmoid-mse", images)
    _, error = evaluate("bce-with-logits", images)
    _, raw = evaluate("mse", images)
    wrong = images.names[WRONG]
    return Step(
        "Half the squared error of a sigmoid",
        "Half the squared error of f is another natural choice. But its gradient has the factor "
        "f (1 - f), which is small where the model is sure, also where it is wrong. The article's "
        "figure, above the steps, shows this.",
        ("L = Σ (f - t)² / 2,  dL/dz = (f - t) f (1 - f)",),
        table(
            images,
            summed("(f - t)² / 2", value),
            ("dL/dz", gradient),
            ("f - t, of cross-entropy", error),
            ("f (1 - f), their ratio", gradient / error),
        ),
        f"For {wrong}, the only error, the size of the gradient is {size(gradient, WRONG)}: less "
        f"than for the dog, which is right, and {number(float(error[WRONG] / gradient[WRONG]))} "
        f"times less than that of cross-entropy. With z as the only parameter and a learning rate "
        f"of 1, {wrong} is right after {steps_until_right('sigmoid-mse', images, WRONG)} steps.",
        "It is the sigmoid that makes the gradient vanish, not the squared error. On raw outputs "
        f"with the targets {MINUS}1 and 1, (z - t)² has the gradient 2 (z - t), which is "
        f"{number(float(raw[WRONG]))} for {wrong}, and does about as well as cross-entropy (Hui "
        "and Belkin 2021, arXiv 2006.07322). And a learning rate of the loss's own makes up for a "
        "part of what the gradient lacks.",
        (("saturation", (0,)), ("square-loss", (0,)), ("learning-rate", (0,))),
    )


def softmax(images: Images) -> Step:
    """Step 8: more than two classes."""
    two, slope = evaluate("cross-entropy", images)
    three, third_slope = evaluate("cross-entropy", images, third_class=True)
    return Step(
        "More than two classes: the softmax",
        "For more than two classes, a softmax gives a probability to each of them.",
        ("p_c = exp z_c / Σ_j exp z_j", "L = -ln p_y of the right class y,  dL/dz = p - t"),
        table(
            images,
            summed("two classes: -ln p_y", two),
            ("two classes: dL/dz", slope),
            ("three classes: p_y", np.exp(-three)),
            summed("three classes: -ln p_y", three),
            ("three classes: dL/dz_y = p_y - 1", third_slope),
        ),
        f"With the logits {MINUS}z/2 for a dog and z/2 for a cat, the softmax is the sigmoid of z, "
        "and its cross-entropy is the binary one. For three classes the table adds a class with "
        f"the logit {THIRD_CLASS_LOGIT:g}. Here too the loss is -ln p of the right class alone, "
        "and the gradient is the error.",
        "Nothing.",
        (("multiclass", (0,)),),
    )


def bernoullis(images: Images) -> Step:
    """Step 9: the softmax read as N Bernoulli distributions."""
    two, _ = evaluate("bernoulli-sum", images)
    three, _ = evaluate("bernoulli-sum", images, third_class=True)
    of_two, _ = evaluate("cross-entropy", images)
    of_three, _ = evaluate("cross-entropy", images, third_class=True)
    first, second, third = map(number, (three / of_three).tolist())
    return Step(
        "The softmax as N Bernoullis",
        "The article reads the softmax of N classes as N yes-or-no questions, one for each class, "
        "and adds up their binary cross-entropies.",
        ("L = -Σ_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)]",),
        table(
            images,
            summed("two classes: L", two),
            # Without the rounding of the last digits, which another machine does otherwise.
            ("two classes: L over cross-entropy", np.round(two / of_two, 12)),
            summed("three classes: L", three),
            ("three classes: L over cross-entropy", three / of_three),
        ),
        "With two classes, 1 - p of one class is p of the other, so every term occurs twice. The "
        "loss is exactly twice cross-entropy: the same loss at twice the learning rate.",
        "From three classes on it is another loss, with a term -ln(1 - p_c) for every wrong class: "
        f"{first}, {second} and {third} times cross-entropy for the three images. A softmax "
        "describes one draw among N classes, and the likelihood of a draw is p of the right class "
        "alone.",
        (("multiclass", (0,)),),
    )


STEPS: tuple[Callable[[Images], Step], ...] = (
    count_of_errors,
    sum_of_probabilities,
    likelihood,
    binary_cross_entropy,
    two_distributions,
    error_and_learning_rate,
    squared_error,
    softmax,
    bernoullis,
)
"""The steps, in the article's order."""
