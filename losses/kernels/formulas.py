"""The formulas that have a kernel, and the numbers by which the kernels know them."""

from ..closed_form import Formula
from ..forms import binary, focal, margin

FORMS: dict[Formula, int] = {
    form: number
    for number, form in enumerate(
        (
            binary.bce_with_logits,
            binary.weighted_bce,
            binary.bce,
            binary.sigmoid_mse,
            binary.mse,
            binary.l1,
            binary.kl_div,
            binary.kl_div_of_logs,
            margin.soft_margin,
            margin.hinge_embedding,
            focal.sigmoid_focal,
        )
    )
}
"""Losses of single logits -> number, in the order of `dispatch_form` in source/compute.cpp."""

CROSS_ENTROPY, PAIRS, NLL = -1, -2, -3
"""Numbers of the losses of rows, as in source/call.h."""
