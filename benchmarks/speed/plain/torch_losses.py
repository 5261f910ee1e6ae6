"""Losses that torch or torchvision has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import sigmoid_focal_loss


def kl_div(input: Tensor, target: Tensor) -> Tensor:
    # As torch's own 'batchmean' is computed: its 'mean' warns at every call.
    return F.kl_div(input, target, reduction="sum") / input.numel()


TORCH_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "focal": partial(sigmoid_focal_loss, reduction="mean"),
    "bce": F.binary_cross_entropy,
    "bce-with-logits": F.binary_cross_entropy_with_logits,
    "nll": F.nll_loss,
    "kl-div": kl_div,
    "cross-entropy": F.cross_entropy,
    "label-smoothing": partial(F.cross_entropy, label_smoothing=0.1),
    "logit-adjusted": F.cross_entropy,  # the default prior is uniform
    "balanced-softmax": F.cross_entropy,
    "mse": F.mse_loss,
    "l1": F.l1_loss,
    "multi-margin": F.multi_margin_loss,
    "multilabel-margin": F.multilabel_margin_loss,
    "hinge-embedding": F.hinge_embedding_loss,
    "soft-margin": F.soft_margin_loss,
    "multilabel-soft-margin": F.multilabel_soft_margin_loss,
}
