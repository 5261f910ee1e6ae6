"""Hand-derived classification losses: value, gradient and
Hessian-vector product in closed form.

    >>> import torch
    >>> from lossbench.losses import CrossEntropyLoss
    >>> CrossEntropyLoss()(torch.tensor([[2.0, 0.0]]), torch.tensor([0]))
    tensor(0.1269)

Each loss is also a function, `cross_entropy` here and in `losses.functional`, and most are found
by name in `losses.registry`. A module is shaped like those of torch.nn: the constructor takes the
settings, `forward(input, target)` the data. Weights are buffers, so they move with `.to(device)`
and are in the `state_dict`; `repr` shows every setting.

A file holds one family of losses: derivation, closed forms, functions, modules, textbook formulas
and registry entries.
"""

from . import functional, registry
from .absolute import ChebyshevLoss, ExpectationLoss
from .asymmetric import AsymmetricLoss
from .base import Loss
from .bce import BCELoss, BCEWithLogitsLoss
from .bernoulli import BernoulliSumLoss
from .bi_tempered import BiTemperedLogisticLoss, SigmoidBiTemperedLogisticLoss
from .class_errors import OneVsRestL1Loss, RescaledSquareLoss, SoftmaxMSELoss, SquentropyLoss
from .closed_form import ClosedForms, differentiable
from .cross_entropies import CrossEntropyLoss
from .distillation import DistillationLoss
from .entries import Entry
from .error_rate import (
    MulticlassZeroOneLoss,
    ProbabilitySumLoss,
    SoftmaxProbabilitySumLoss,
    ZeroOneLoss,
)
from .focal import SigmoidFocalLoss, SoftmaxFocalLoss
from .functional import *  # noqa: F403
from .generalized_cross_entropies import (
    GeneralizedCrossEntropyLoss,
    SigmoidGeneralizedCrossEntropyLoss,
)
from .hinge_embedding import HingeEmbeddingLoss
from .hinges import HingeLoss, OneVsRestHingeLoss
from .imbalance import BalancedSoftmaxLoss, LDAMLoss, LogitAdjustedLoss
from .kernels import Backend, backend
from .linear import LinearCrossEntropyLoss
from .log_probabilities import KLDivLoss, NLLLoss
from .multi_margin import MultiLabelMarginLoss, MultiMarginLoss
from .poly import Poly1Loss, SigmoidPoly1Loss
from .registry import add, entry, get, installed, names, register
from .regression import L1Loss, MSELoss, SigmoidMSELoss
from .similarity import CauchySchwarzLoss, TanimotoLoss
from .soft_margin import MultiLabelSoftMarginLoss, SoftMarginLoss
from .squared_logs import SigmoidSquaredLogLoss, SquaredLogLoss
from .symmetric_cross_entropies import SigmoidSymmetricCrossEntropyLoss, SymmetricCrossEntropyLoss

__all__ = [
    "AsymmetricLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "Backend",
    "BalancedSoftmaxLoss",
    "BernoulliSumLoss",
    "BiTemperedLogisticLoss",
    "CauchySchwarzLoss",
    "ChebyshevLoss",
    "ClosedForms",
    "CrossEntropyLoss",
    "DistillationLoss",
    "Entry",
    "ExpectationLoss",
    "GeneralizedCrossEntropyLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "KLDivLoss",
    "L1Loss",
    "LDAMLoss",
    "LinearCrossEntropyLoss",
    "LogitAdjustedLoss",
    "Loss",
    "MSELoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "MulticlassZeroOneLoss",
    "NLLLoss",
    "OneVsRestHingeLoss",
    "OneVsRestL1Loss",
    "Poly1Loss",
    "ProbabilitySumLoss",
    "RescaledSquareLoss",
    "SigmoidBiTemperedLogisticLoss",
    "SigmoidFocalLoss",
    "SigmoidGeneralizedCrossEntropyLoss",
    "SigmoidMSELoss",
    "SigmoidPoly1Loss",
    "SigmoidSquaredLogLoss",
    "SigmoidSymmetricCrossEntropyLoss",
    "SoftMarginLoss",
    "SoftmaxFocalLoss",
    "SoftmaxMSELoss",
    "SoftmaxProbabilitySumLoss",
    "SquaredLogLoss",
    "SquentropyLoss",
    "SymmetricCrossEntropyLoss",
    "TanimotoLoss",
    "ZeroOneLoss",
    "add",
    "backend",
    "differentiable",
    "entry",
    "functional",
    "get",
    "installed",
    "names",
    "register",
    "registry",
    *functional.__all__,
]
