"""The losses as functions, shaped like those of torch.nn.functional.

`input` is the output of the model, `target` the wanted output. A function that torch has takes
torch's arguments in torch's order, the deprecated `size_average` and `reduce` too, with torch's
warning; options of this library's own are keyword-only. Tensor subclasses, torch.fx and modes
override every function by __torch_function__. Reductions are 'mean' (the default, except in
torchvision's `sigmoid_focal_loss`), 'sum' and 'none'. float16 and bfloat16 are computed in float32
and returned in their own dtype, under autocast in float32. Weights may have any sign; 'mean' over
class indices then divides by their sum, as torch does.

All are differentiable with respect to `input`, to targets that are probabilities, and to every
weight: any number of times in reverse mode, and once in forward mode over or under reverse mode.
Forward mode inside forward mode (jvp of jvp, jacfwd of jacfwd) raises RuntimeError, because
torch.autograd.Function does not support it. Use jacfwd of jacrev, as torch.func.hessian does.

A NaN in an input, a target or a weight makes the loss and the gradient of its example NaN, also
where torch's has none (l1_loss, multi_margin_loss, hinge_embedding_loss). Gradients that no input
changes stay: the 0 of zero_one, and those of nll_loss and kl_div, as in torch. Beside an infinite
logit, value and gradients are what finite ones tend to, infinite or not.

In the docstrings sigma(z) = 1 / (1 + exp(-z)), p = softmax(z), e_y is the one-hot row of class y,
J = diag(p) - p p^T the derivative of a softmax, and [a] is 1 where a holds and 0 elsewhere.
"""

from .absolute import chebyshev, expectation
from .asymmetric import asymmetric_loss
from .bce import binary_cross_entropy, binary_cross_entropy_with_logits
from .bernoulli import bernoulli_sum
from .bi_tempered import bi_tempered_logistic, sigmoid_bi_tempered_logistic
from .class_errors import one_vs_rest_l1, rescaled_square, softmax_mse, squentropy
from .cross_entropies import cross_entropy
from .distillation import distillation_loss
from .error_rate import multiclass_zero_one, probability_sum, softmax_probability_sum, zero_one
from .focal import sigmoid_focal_loss, softmax_focal_loss
from .generalized_cross_entropies import (
    generalized_cross_entropy,
    sigmoid_generalized_cross_entropy,
)
from .hinge_embedding import hinge_embedding_loss
from .hinges import hinge, one_vs_rest_hinge
from .imbalance import (
    balanced_softmax_loss,
    class_balanced_weight,
    ldam_loss,
    logit_adjusted_cross_entropy,
)
from .linear import linear_cross_entropy
from .log_probabilities import kl_div, nll_loss
from .multi_margin import multi_margin_loss, multilabel_margin_loss
from .poly import poly1, sigmoid_poly1
from .regression import l1_loss, mse_loss, sigmoid_mse
from .similarity import cauchy_schwarz, tanimoto
from .soft_margin import multilabel_soft_margin_loss, soft_margin_loss
from .squared_logs import sigmoid_squared_log, squared_log
from .symmetric_cross_entropies import sigmoid_symmetric_cross_entropy, symmetric_cross_entropy

__all__ = [
    "asymmetric_loss",
    "balanced_softmax_loss",
    "bernoulli_sum",
    "bi_tempered_logistic",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cauchy_schwarz",
    "chebyshev",
    "class_balanced_weight",
    "cross_entropy",
    "distillation_loss",
    "expectation",
    "generalized_cross_entropy",
    "hinge",
    "hinge_embedding_loss",
    "kl_div",
    "l1_loss",
    "ldam_loss",
    "linear_cross_entropy",
    "logit_adjusted_cross_entropy",
    "mse_loss",
    "multi_margin_loss",
    "multiclass_zero_one",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "nll_loss",
    "one_vs_rest_hinge",
    "one_vs_rest_l1",
    "poly1",
    "probability_sum",
    "rescaled_square",
    "sigmoid_bi_tempered_logistic",
    "sigmoid_focal_loss",
    "sigmoid_generalized_cross_entropy",
    "sigmoid_mse",
    "sigmoid_poly1",
    "sigmoid_squared_log",
    "sigmoid_symmetric_cross_entropy",
    "soft_margin_loss",
    "softmax_focal_loss",
    "softmax_mse",
    "softmax_probability_sum",
    "squared_log",
    "squentropy",
    "symmetric_cross_entropy",
    "tanimoto",
    "zero_one",
]
