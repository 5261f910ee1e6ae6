"""The losses as functions, shaped like those of torch.nn.functional.

`input` is what the model gives, `target` what it should have given. Settings other than `weight`
are given by name where torch's deprecated `size_average` and `reduce`, which have no place here,
stand between them there. Reductions are 'mean' (the default), 'sum' and 'none'. float16 and
bfloat16 are computed in float32 and returned in their own dtype, under autocast in float32.

All are differentiable with respect to `input`, to targets that are probabilities, and to every
weight: any number of times in reverse mode, and once in forward mode over or under that. Forward
mode in forward mode (jvp of jvp, jacfwd of jacfwd) is beyond torch.autograd.Function, which gives
zeros without an error; take jacfwd of jacrev, which is what torch.func.hessian does.

In the docstrings sigma(z) = 1 / (1 + exp(-z)), p = softmax(z), e_y is the one-hot row of class y,
J = diag(p) - p p^T the derivative of a softmax, and [a] is 1 where a holds and 0 elsewhere.
"""

from .distance import mse_loss, sigmoid_mse, softmax_mse
from .likelihood import (
    bernoulli_sum,
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    nll_loss,
)
from .right_class import probability_sum, softmax_focal_loss, zero_one
from .softmax import cross_entropy

__all__ = [
    "bernoulli_sum",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "mse_loss",
    "nll_loss",
    "probability_sum",
    "sigmoid_mse",
    "softmax_focal_loss",
    "softmax_mse",
    "zero_one",
]
