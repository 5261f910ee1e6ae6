"""The losses as modules, shaped like those of torch.nn.

The constructor takes the settings, `forward(input, target)` the data. Weights are buffers, so
they move with `.to(device)` and are in the `state_dict`; `repr` shows every setting. Formulas,
shapes, ranges and errors stand with the function of each module in `losses.functional`.
"""

from .base import Loss
from .distance import (
    CauchySchwarzLoss,
    ChebyshevLoss,
    ExpectationLoss,
    L1Loss,
    MSELoss,
    OneVsRestL1Loss,
    RescaledSquareLoss,
    SigmoidMSELoss,
    SoftmaxMSELoss,
    SquentropyLoss,
    TanimotoLoss,
)
from .likelihood import BCELoss, BCEWithLogitsLoss, BernoulliSumLoss, KLDivLoss, NLLLoss
from .margin import (
    HingeEmbeddingLoss,
    HingeLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    OneVsRestHingeLoss,
    SoftMarginLoss,
)
from .right_class import (
    AsymmetricLoss,
    MulticlassZeroOneLoss,
    Poly1Loss,
    ProbabilitySumLoss,
    SigmoidFocalLoss,
    SigmoidPoly1Loss,
    SigmoidSquaredLogLoss,
    SoftmaxFocalLoss,
    SoftmaxProbabilitySumLoss,
    SquaredLogLoss,
    ZeroOneLoss,
)
from .robust import (
    BiTemperedLogisticLoss,
    GeneralizedCrossEntropyLoss,
    SigmoidBiTemperedLogisticLoss,
    SigmoidGeneralizedCrossEntropyLoss,
    SigmoidSymmetricCrossEntropyLoss,
    SymmetricCrossEntropyLoss,
)
from .softmax import CrossEntropyLoss, LogitAdjustedLoss

__all__ = [
    "AsymmetricLoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BernoulliSumLoss",
    "BiTemperedLogisticLoss",
    "CauchySchwarzLoss",
    "ChebyshevLoss",
    "CrossEntropyLoss",
    "ExpectationLoss",
    "GeneralizedCrossEntropyLoss",
    "HingeEmbeddingLoss",
    "HingeLoss",
    "KLDivLoss",
    "L1Loss",
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
]
