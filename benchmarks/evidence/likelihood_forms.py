"""The negative log-likelihood of predictions in several forms, and two slips of the article."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lossbench.benchmarks.stats.likelihood import (
    Array,
    log_of_sum,
    log_sigmoid,
    minus_log_product,
    slip,
    slip_gradient,
)
from lossbench.benchmarks.training.result import Predictions
from lossbench.losses import functional as F

FORMS = {
    "minus ln of the likelihood": "nll",
    "binary cross-entropy": "bce",
    "the same, from logits": "bce-with-logits",
    "H(p, q)": "cross-entropy",
    "KL(p, q) + H(p)": "kl-div",
}
"""Name of each form and the loss that computes it."""

SMOOTHING = 0.1
"""Label smoothing of the second set of targets, beside 0 and 1; with it H(p) is not 0."""

SHIFTS = np.arange(21.0)
"""Amounts by which the logits of dogs are lowered in the curves."""

FAR = (1e3, 1e6)
"""Amounts by which they are lowered to show whether a loss has a lower bound."""


@dataclass(frozen=True)
class Forms:
    """Values of all forms for the predictions of one network for N images.

    Attributes:
        likelihood: minus the logarithm of the product of the probabilities of the right classes,
            divided by N; computed with 30 digits.
        values: mean of every form over the images, in float64.
        value_error: largest relative difference of a form from `likelihood`, by precision.
        gradient_error: largest difference of a form's dL/dz from f - t, by precision.
        log_of_sum: minus the logarithm of the sum of these probabilities, divided by N.
        slip: mean of -[t ln f + (1 - t) ln(1 - ln f)].
        f: probabilities f of being a cat, of the dogs; also dL/dz of binary cross-entropy.
        slip_gradient: dL/dz of the slip for the dogs, (1 - f) / (1 - ln f).
        bce_shifted: mean binary cross-entropy of dogs with their logits lowered by `SHIFTS`.
        slip_shifted: the same of the slip.
        slip_fall: decrease of the slip from the first to the second of `FAR`, divided by the
            logarithm of their ratio; 1 for a loss that falls as -ln of the amount, without end.
    """

    likelihood: float
    values: dict[str, float]
    value_error: dict[str, float]
    gradient_error: dict[str, float]
    log_of_sum: float
    slip: float
    f: Array
    slip_gradient: Array
    bce_shifted: Array
    slip_shifted: Array
    slip_fall: float


def evaluate_forms(predictions: Predictions) -> Forms:
    """Evaluate all forms on the predictions of a network with one logit.

    Raises:
        ValueError: it has more outputs or a non-finite output, or a class is missing.
    """
    if predictions.outputs.shape[1] != 1 or not np.isfinite(predictions.outputs).all():
        raise ValueError("one finite output per image was wanted")
    labels = predictions.labels.astype(np.float64)
    if set(labels.tolist()) != {0, 1}:
        raise ValueError(f"dogs and cats were wanted, not labels {set(labels.tolist())}")
    z = predictions.outputs[:, 0].astype(np.float64)
    hard, values = _errors(z, labels)
    soft, _ = _errors(z, (1 - SMOOTHING) * labels + SMOOTHING / 2)
    dogs = z[labels == 0]
    lowered = dogs[:, None] - SHIFTS
    near, far = (slip(dogs - amount, np.zeros_like(dogs)).mean() for amount in FAR)
    return Forms(
        likelihood=minus_log_product(z, labels),
        values=values,
        # NumPy's maximum of a NaN is NaN.
        value_error={bits: float(np.maximum(hard[bits][0], soft[bits][0])) for bits in hard},
        gradient_error={bits: float(np.maximum(hard[bits][1], soft[bits][1])) for bits in hard},
        log_of_sum=-log_of_sum(z, labels) / len(z),
        slip=float(slip(z, labels).mean()),
        f=np.exp(log_sigmoid(dogs)),
        slip_gradient=slip_gradient(dogs, np.zeros_like(dogs)),
        bce_shifted=-log_sigmoid(-lowered).mean(0),
        slip_shifted=slip(lowered, np.zeros_like(lowered)).mean(0),
        slip_fall=float((near - far) / np.log(FAR[1] / FAR[0])),
    )


def _errors(z: Array, t: Array) -> tuple[dict[str, tuple[float, float]], dict[str, float]]:
    """Return the errors of value and gradient by precision, and the values in float64."""
    truth = minus_log_product(z, t)
    true_gradient = (1 - t) * np.exp(log_sigmoid(z)) - t * np.exp(log_sigmoid(-z))
    errors: dict[str, tuple[float, float]] = {}
    values: dict[str, float] = {}
    for bits, dtype in (("float64", torch.float64), ("float32", torch.float32)):
        logit = torch.tensor(z, dtype=dtype, requires_grad=True)
        means, differences = {}, []
        for name, losses in forms(logit, torch.tensor(t, dtype=dtype)).items():
            (gradient,) = torch.autograd.grad(losses.sum(), logit, retain_graph=True)
            means[name] = float(losses.detach().mean())
            differences.append(float(np.abs(gradient.double().numpy() - true_gradient).max()))
        value_errors = np.abs(np.array(list(means.values())) - truth) / truth
        errors[bits] = (float(value_errors.max()), float(np.max(differences)))
        values = values or means
    return errors, values


def forms(z: Tensor, t: Tensor) -> dict[str, Tensor]:
    """Return every form of each image, (N,), from its logit and its probability of being a cat."""
    rows = torch.stack([-z / 2, z / 2], 1)
    q, p = torch.log_softmax(rows, 1), torch.stack([1 - t, t], 1)
    classes = [torch.full_like(t, label, dtype=torch.int64) for label in (0, 1)]
    each = [F.nll_loss(q, label, reduction="none") for label in classes]
    computed = {
        "nll": p[:, 0] * each[0] + p[:, 1] * each[1],
        "bce": F.binary_cross_entropy(torch.sigmoid(z), t, reduction="none"),
        "bce-with-logits": F.binary_cross_entropy_with_logits(z, t, reduction="none"),
        "cross-entropy": F.cross_entropy(rows, p, reduction="none"),
        "kl-div": F.kl_div(q, p, reduction="none").sum(1) - torch.xlogy(p, p).sum(1),
    }
    return {name: computed[loss] for name, loss in FORMS.items()}
