"""Distillation: a student's softmax is fitted to a teacher's, both at a temperature."""

import torch
from torch import Tensor

from . import checks
from .arguments import rows
from .base import Loss
from .closed_form import ClosedForms, differentiable
from .entries import Entry
from .numerics import sign, times
from .overrides import is_overridden, overridden
from .softmax import centred, softmax_parts

# --- L = T^2 sum_c t_c ln(t_c / p_c), p = softmax(z / T), t = softmax(a / T) of the teacher's a ---
#
# From d ln p = (v - p.v) / T the gradient is T (p - t), and the Hessian is J, the derivative of p
# by z / T.


def distillation_value(z: Tensor, a: Tensor, temperature: float) -> Tensor:
    student, teacher = softmax_parts(z / temperature), softmax_parts(a / temperature)
    # Each by itself: for a class that neither believes in both are infinite.
    each = times(teacher.p, student.s) - times(teacher.p, teacher.s)
    return temperature * temperature * each.sum(-1)


def distillation_gradient(z: Tensor, a: Tensor, temperature: float) -> Tensor:
    # p - t, of which both parts keep their digits where one of the two is sure of a class.
    student, teacher = softmax_parts(z / temperature), softmax_parts(a / temperature)
    return temperature * (student.p * teacher.q - teacher.p * student.q)


def distillation_hvp(z: Tensor, v: Tensor, a: Tensor, temperature: float) -> Tensor:
    del a
    student = softmax_parts(z / temperature)
    return student.p * centred(student, v)


def distillation_by_target(z: Tensor, a: Tensor, temperature: float) -> Tensor:
    # t (x - t.x), x = a - z. An infinite x outgrows all others.
    teacher = softmax_parts(a / temperature)
    x = torch.where(teacher.p == 0, 0.0, a - z)
    far = teacher.p * centred(teacher, torch.where(x.isinf(), sign(x), 0.0))
    near = teacher.p * centred(teacher, torch.where(x.isinf(), 0.0, x))
    return torch.where(far > 0, torch.inf, torch.where(far < 0, -torch.inf, near))


distillation_formula = differentiable(
    ClosedForms(
        *("distillation", distillation_value, distillation_gradient, distillation_hvp),
        rows=True,
        indices=False,
        by_target=distillation_by_target,
    )
)


def distillation_loss(
    input: Tensor, target: Tensor, *, temperature: float = 2.0, reduction: str = "mean"
) -> Tensor:
    """Kullback-Leibler divergence of a student's softmax from a teacher's, at a temperature.

    With p = softmax(z / T) and t = softmax(a / T), a the teacher's logits:
    L = T^2 sum_c t_c (ln t_c - ln p_c), at least 0; dL/dz = T (p - t); the Hessian is
    diag(p) - p p^T. The factor T^2 keeps the size of the gradient when T changes.
    Where p is near t the terms cancel: the error of L is then some ulp of them, and not of L.

    Args:
        input: the student's logits z, (C,), (N, C) or (N, C, d1, ..., dK), floating point.
        target: the teacher's logits a, of input's shape, floating point; in training without a
            gradient, from under torch.no_grad.
        temperature: T, above 0. The larger it is, the more the teacher's wrong classes count.
        reduction: 'mean' over the rows, 'sum' or 'none'.
    Raises:
        ValueError: target has another shape than input; temperature is not above 0; input has no
            classes; unknown reduction.
        RuntimeError: target is not floating point.
        IndexError: an input of no dimension.
        NotImplementedError: input is not floating point.
    Source: Hinton, Vinyals and Dean 2015, arXiv 1503.02531, section 2.1, less the entropy of the
        teacher, which does not depend on the student.

    >>> import torch
    >>> student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[4.0, 0.0]])
    >>> distillation_loss(student, teacher, temperature=2.0)
    tensor(0.6734)
    """
    if is_overridden(input, target):
        return overridden(distillation_loss, locals())
    name = "distillation_loss"
    checks.setting(name, "temperature", temperature, above=0.0)
    checks.tensors(input=input, target=target)
    checks.class_count(input)
    if not checks.is_distribution(input, target):
        raise ValueError(
            f"{name}: the teacher's logits have size {tuple(target.shape)}, the student's "
            f"{tuple(input.shape)}: both are rows of logits of the same classes"
        )
    arguments = (input, target, None, -100, reduction)
    return rows(distillation_formula, name, *arguments, float(temperature))


class DistillationLoss(Loss):
    """Kullback-Leibler divergence of a student's softmax from a teacher's, at a temperature.

    See `losses.functional.distillation_loss`.
    """

    function = staticmethod(distillation_loss)

    def __init__(self, *, temperature: float = 2.0, reduction: str = "mean") -> None:
        checks.setting("DistillationLoss", "temperature", temperature, above=0.0)
        super().__init__(temperature=temperature, reduction=reduction)


def distillation_textbook(z: Tensor, t: Tensor, temperature: float) -> Tensor:
    p, log_p = torch.softmax(t / temperature, -1), torch.log_softmax(z / temperature, -1)
    return temperature**2 * (torch.xlogy(p, p) - p * log_p).sum(-1)


ENTRIES = (
    Entry(
        "distillation",
        DistillationLoss,
        "multiclass",
        "logits",
        ("logits",),
        distillation_textbook,
        "divergence of a student's softmax from a teacher's, at a temperature",
        formula="T² Σ_c t_c ln(t_c / p_c), p = softmax(z / T), t = softmax(a / T)",
        gradient="T (p - t)",
        range="[0, ∞)",
        use="to train a small network on the outputs of a large one",
        source="Hinton, Vinyals and Dean 2015, arXiv 1503.02531",
    ),
)
