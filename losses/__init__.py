"""Hand-derived classification losses: value, gradient and
Hessian-vector product in closed form.

    >>> import torch
    >>> from lossbench.losses import CrossEntropyLoss
    >>> CrossEntropyLoss()(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.1269)

`losses.functional` has the same as functions, `losses.registry` by name.
"""

from . import double_backward, functional, kernels, modules, registry
from .catalogue.entry import Entry
from .closed_form import ClosedForms, differentiable
from .kernels import Backend, backend
from .modules import *  # noqa: F403
from .registry import add, entry, get, installed, names, register

kernels.double_backward.register(double_backward.differentiable_gradient)

__all__ = [
    "Backend",
    "ClosedForms",
    "Entry",
    "add",
    "backend",
    "differentiable",
    "entry",
    "functional",
    "get",
    "installed",
    "modules",
    "names",
    "register",
    "registry",
    *modules.__all__,
]
