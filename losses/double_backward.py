"""Second derivatives of the losses that a kernel computed: their gradient in closed form."""

import torch
from torch import Tensor

from . import bce, focal, hinge_embedding, kernels, log_probabilities, regression, soft_margin
from .arguments import weighted
from .closed_form import Formula
from .cross_entropies import cross_entropy
from .kernels.formulas import CROSS_ENTROPY, FORMS, NLL, PAIRS
from .log_probabilities import nll_loss
from .multi_margin import multi_margin_loss, multilabel_margin_loss

FORMULAS: dict[str, Formula] = {
    "bce_with_logits": bce.bce_with_logits_formula,
    "weighted_bce": bce.weighted_bce_formula,
    "bce": bce.bce_formula,
    "sigmoid_mse": regression.sigmoid_mse_formula,
    "mse": regression.mse_formula,
    "l1": regression.l1_formula,
    "kl_div": log_probabilities.kl_div_formula,
    "kl_div_of_logs": log_probabilities.kl_div_of_logs_formula,
    "soft_margin": soft_margin.soft_margin_formula,
    "hinge_embedding": hinge_embedding.hinge_embedding_formula,
    "sigmoid_focal": focal.sigmoid_focal_formula,
}
"""Formulas of single logits that have a kernel."""


def register() -> None:
    """Give the kernels what they cannot import, because the formulas use them."""
    kernels.formulas.register(FORMULAS)
    kernels.double_backward.register(differentiable_gradient)


def differentiable_gradient(
    form: int,
    upstream: Tensor,
    tensors: tuple[Tensor | None, ...],
    ignore_index: int,
    reduction: str,
    settings: tuple[float, ...],
) -> Tensor:
    """Return dL/dinput of a loss that a kernel computed, from its closed form.

    Kernels call this where a graph of the backward pass is built (`create_graph=True`).

    Args:
        form: number of the loss, of `kernels.formulas`.
        upstream: the gradient with respect to the loss.
        tensors: input, target, weight and any extra tensor, as the kernel got them.
        ignore_index, reduction, settings: as the kernel got them.
    """
    input, target, weight, *extra = tensors
    assert input is not None
    assert target is not None
    if form == PAIRS and target.dim() == 1:
        loss = multi_margin_loss(
            input, target, int(settings[1]), settings[0], weight, reduction=reduction
        )
    elif form == PAIRS:
        loss = multilabel_margin_loss(input, target, reduction=reduction)
    elif form == NLL:
        loss = nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)
    elif form == CROSS_ENTROPY:
        loss = cross_entropy(
            input,
            target,
            weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=settings[0],
        )
    else:
        formula = next(formula for formula, number in FORMS.items() if number == form)
        rest = (target, *(x for x in extra if x is not None), *settings)
        loss = weighted(formula, input, rest, weight, reduction, input.dtype)
    (gradient,) = torch.autograd.grad(loss, input, upstream, create_graph=True)
    return gradient
