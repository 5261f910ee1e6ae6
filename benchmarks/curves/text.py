"""Text of `losses/README.md` around its tables."""

from lossbench.losses.entries import Task

OPENING = """\
<!-- Written by `uv run lossbench catalogue`; change the registry, not this file. -->

# The catalogue of losses

{count} classification losses, each with value, gradient and Hessian derived by hand, and kept
accurate in float32 where textbook formulas lose their digits. Those that torch has are drop-in
replacements: same names, same arguments, same results. This page is made from the registry, and
its numbers are measured."""

HOW_TO_USE = """\
## How to use one

```python
import torch

from lossbench import losses
from lossbench.losses import CrossEntropyLoss, functional

z, y = torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0])

CrossEntropyLoss(label_smoothing=0.1)(z, y)  # as torch.nn has it
functional.cross_entropy(z, y, reduction="none")  # as torch.nn.functional has it
losses.get("poly-1", reduction="sum")(z, y)  # by its name in the tables below
losses.names("binary")  # the names, of one task or all
```

A loss of your own is found by its name in the same way, by `lossbench compare --losses` too:

```python
from torch import nn


@losses.register("absolute-logit", task="binary", summary="how far the logit is from its target")
class AbsoluteLogitLoss(nn.Module):
    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, input, target):
        each = (input - (2 * target - 1)).abs()
        return each if self.reduction == "none" else getattr(each, self.reduction)()
```"""

KERNELS = """\
## Fused kernels

Every loss has a C++ kernel for the CPU, on Linux, which is printed from its closed forms: value,
and gradient, in one pass over the memory, for plain tensors of float32, float64, bfloat16 and
float16. `python -m lossbench.losses.kernels build` builds the kernels of torch's losses for this
machine, once, in about a minute (`build --all`: of every loss, in a few minutes); the command
`lossbench` does so by itself. Any other kernel is compiled when its loss is first called,
in a second or two, and so is that of a loss of your own. Kernels for CUDA are printed from the same
forms, in Triton, which comes with torch and compiles them at their first call, for float32,
bfloat16 and float16. The closed forms compute everything else (other devices, `torch.compile`,
`torch.func`, second derivatives), and all of it where there is no compiler. `losses.backend()` and
`losses.backend("cuda")` say which is in use and why; `LOSSES_KERNELS=0` in the environment switches
the kernels off. `uv run pytest benchmarks` measures every loss beside torch's, or beside the plain
expression in torch."""

NOTATION = """\
## The losses

z is a logit or a row of them, x another input of a loss, t the target, y the index of the right
class and e_y its one-hot row; f = σ(z) is the sigmoid, p = softmax(z), J = diag(p) - p pᵀ."""

WRONG = """\
*Confidently wrong* is |dL/dz| where class 1 is right and the model gives it a probability of 0.01,
and then of 0.0001, measured in float64. z is the logit, the difference of two logits, or the raw
output. If the gradient *vanishes*, such an example is never learnt; if it *stays*, the example is
corrected at a steady pace; if it *grows*, the example, or a wrong label, outweighs all others."""

TASKS: dict[Task, str] = {
    "binary": "### Two classes, one number per example",
    "multiclass": "### One right class of many",
    "multilabel": "### Any number of right classes",
}

TAILS = """\
The table has the largest relative error in float32 against arithmetic of 160 digits: of our loss
and, below it, of the loss of `torch.nn.functional` ("torch"), or of the formula in plain torch
operations where torch has no such loss ("plain"). Logits are drawn with standard deviations 1, 8
and 50, for 2, 3 and 10 classes, half of the examples classified correctly. The edges are ±inf,
±1e4, ±89, ±1, zeros and denormals; there the limit is expected. The error of a gradient is relative
to its largest entry in the row. Only exact values that are normal float32 numbers count; at a zero
crossing the error is relative to the terms whose difference the value is. Errors above 4e-6 are
bold: an error of 1 is a result of 0, or one without a correct digit. The draws are seeded, but
processors round differently, so another machine may get another digit.

The bound is 4e-6 because the difference of two logits, 87, is rounded by that much in float32, and
exp(-87) is about its smallest normal number."""

DIFFERENCES = """\
## What is deliberately different from torch

- An infinite logit gives the limit: 0 for a certain and right answer where torch's formulas give
  NaN. A class with target 0 and probability 0 contributes nothing, in `kl_div` too.
- Small losses and gradients keep their digits instead of being rounded to 0, and
  `soft_margin_loss` does not overflow.
- The gradient of `sigmoid_focal_loss` is finite for a `gamma` below 1 too, where torchvision's is
  NaN for a certain and right example.
- `kl_div` does not warn of its 'mean', and does not change it either.
- Class indices may be of any integer dtype, and the target of a loss of single logits bool.
- Nothing in an ignored row reaches a derivative, NaN and infinities included.
- Modules cannot be compiled by the deprecated `torch.jit.script`.
- Every loss can be differentiated more than once, by soft targets and weights as well, under
  `torch.func` and `torch.compile(fullgraph=True)`."""
