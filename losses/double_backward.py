"""Second derivatives of the losses that a kernel computed: their gradient in closed form."""

import torch
from torch import Tensor

from .arguments import weighted
from .functional.likelihood import nll_loss
from .functional.margin import multi_margin_loss, multilabel_margin_loss
from .functional.softmax import cross_entropy
from .kernels.formulas import CROSS_ENTROPY, FORMS, NLL, PAIRS


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
