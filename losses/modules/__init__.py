"""The losses as modules, shaped like those of torch.nn.

The constructor takes the settings, `forward(input, target)` the data. Weights are buffers, so
they move with `.to(device)` and are in the `state_dict`; `repr` shows every setting. Formulas,
shapes, ranges and errors stand with the function of each module in `losses.functional`.
"""

from .base import Loss
from .distance import MSELoss, SigmoidMSELoss, SoftmaxMSELoss
from .likelihood import BCELoss, BCEWithLogitsLoss, BernoulliSumLoss, NLLLoss
from .right_class import ProbabilitySumLoss, SoftmaxFocalLoss, ZeroOneLoss
from .softmax import CrossEntropyLoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "BernoulliSumLoss",
    "CrossEntropyLoss",
    "Loss",
    "MSELoss",
    "NLLLoss",
    "ProbabilitySumLoss",
    "SigmoidMSELoss",
    "SoftmaxFocalLoss",
    "SoftmaxMSELoss",
    "ZeroOneLoss",
]
