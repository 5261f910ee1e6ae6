"""Hand-derived classification losses: value, gradient and curvature in closed form.

    >>> import torch
    >>> from losses import CrossEntropyLoss
    >>> CrossEntropyLoss()(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.1269)

`losses.functional` has the same as functions, `losses.registry` by name.
"""

from . import functional, registry
from .closed_form import ClosedForms, differentiable
from .modules import (
    BCELoss,
    BCEWithLogitsLoss,
    BernoulliSumLoss,
    CrossEntropyLoss,
    MSELoss,
    NLLLoss,
    ProbabilitySumLoss,
    SigmoidMSELoss,
    SoftmaxMSELoss,
    ZeroOneLoss,
)
from .registry import Entry, get, names, register

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "BernoulliSumLoss",
    "ClosedForms",
    "CrossEntropyLoss",
    "Entry",
    "MSELoss",
    "NLLLoss",
    "ProbabilitySumLoss",
    "SigmoidMSELoss",
    "SoftmaxMSELoss",
    "ZeroOneLoss",
    "differentiable",
    "functional",
    "get",
    "names",
    "register",
    "registry",
]
