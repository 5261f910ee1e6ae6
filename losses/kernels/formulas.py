"""The formulas that have a kernel, and the numbers by which the kernels know them."""

from ..closed_form import Formula

NAMES = (
    "bce_with_logits",
    "weighted_bce",
    "bce",
    "sigmoid_mse",
    "mse",
    "l1",
    "kl_div",
    "kl_div_of_logs",
    "soft_margin",
    "hinge_embedding",
    "sigmoid_focal",
)
"""Losses of single logits, in the order of `dispatch_form` in source/compute.cpp."""

NUMBERS = {name: number for number, name in enumerate(NAMES)}

FORMS: dict[Formula, int] = {}
"""Formula -> its number. Formulas use the kernels, so the package registers them here."""

CROSS_ENTROPY, PAIRS, NLL = -1, -2, -3
"""Numbers of the losses of rows, as in source/call.h."""


def register(formulas: dict[str, Formula]) -> None:
    """Set the formula of every name of `NAMES`."""
    FORMS.update({formulas[name]: number for name, number in NUMBERS.items()})
