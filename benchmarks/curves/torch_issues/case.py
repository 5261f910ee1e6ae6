"""One issue: how to reproduce it with the losses of torch or of lossbench, and the truth."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import torch
from torch import Tensor

from lossbench.losses import functional

ERRORS = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)


class Losses:
    """Functions of some modules by their names, as attributes; the first module that has one."""

    def __init__(self, *modules: ModuleType) -> None:
        self._modules = modules

    def __getattr__(self, name: str) -> Callable[..., Tensor]:
        module = next((each for each in self._modules if hasattr(each, name)), self._modules[0])
        function: Callable[..., Tensor] = getattr(module, name)
        return function


@dataclass(frozen=True)
class TorchIssue:
    """A symptom of torch's losses that users filed as one issue or several.

    Attributes:
        issues: their numbers.
        symptom: what is complained of, in Markdown.
        run: reproduces it with the losses it is given, and returns the numbers that matter.
        truth: the right numbers, from float64, multi-precision arithmetic, the limit or the
            definition.
        as_defined: the value complained of is the right one, by the documented definition.
        tolerance: largest relative error of a right number.
        repository: where the issues are.
    """

    issues: tuple[int, ...]
    symptom: str
    run: Callable[[Losses], Tensor]
    truth: Callable[[], Sequence[float]]
    as_defined: bool = False
    tolerance: float = 1e-6
    repository: str = "pytorch/pytorch"


class Outcome(NamedTuple):
    """Result of running an issue.

    Attributes:
        numbers: the results.
        error: the type of the error that was raised instead, or "".
    """

    numbers: tuple[float, ...]
    error: str = ""


def torch_losses() -> Losses:
    """Return the losses of torch, with torchvision's focal loss."""
    import torchvision.ops

    return Losses(torch.nn.functional, torchvision.ops)


def our_losses() -> Losses:
    """Return the losses of lossbench."""
    return Losses(functional)


def outcome(issue: TorchIssue, losses: Losses) -> Outcome:
    """Run an issue with the losses of one library."""
    try:
        return Outcome(tuple(issue.run(losses).double().flatten().tolist()))
    except ERRORS as error:
        return Outcome((), type(error).__name__)


def is_right(issue: TorchIssue, found: Outcome) -> bool:
    """Say whether an outcome is the truth; a zero, an infinity and a NaN have to be exact."""
    truth = issue.truth()
    return len(found.numbers) == len(truth) and all(
        (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=issue.tolerance)
        for a, b in zip(found.numbers, truth, strict=True)
    )


def text(found: Outcome) -> str:
    """Format an outcome with three digits."""
    return found.error or ", ".join(_number(x) for x in found.numbers)


def _number(x: float) -> str:
    if math.isnan(x):
        return "NaN"
    # Without the sign of a zero, and of an exponent only what is needed.
    return f"{x + 0.0:.3g}".replace("e-0", "e-").replace("e+", "e")


def gradient(loss: Callable[..., Tensor], *inputs: Tensor, by: int = 0) -> Tensor:
    """Return the derivative of the sum of `loss(*inputs)` by one of the inputs."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    return torch.autograd.grad(loss(*leaves).sum(), leaves[by])[0]


def second_derivative(loss: Callable[..., Tensor], *inputs: Tensor, by: int = 0) -> Tensor:
    """Return the derivative of the summed `gradient(loss, *inputs, by=by)` by the same input."""
    leaves = [x.clone().requires_grad_() for x in inputs]
    (first,) = torch.autograd.grad(loss(*leaves).sum(), leaves[by], create_graph=True)
    return torch.autograd.grad(first.sum(), leaves[by])[0]
