"""Losses that are a function of the probability of the right class."""

from ..modules import right_class as modules
from ..reference import right_class as reference
from .entry import Entry

ENTRIES = (
    Entry(
        "zero-one",
        modules.ZeroOneLoss,
        "binary",
        "logits",
        ("probability",),
        reference.zero_one,
        "count of wrong predictions",
        formula="[z > 0] (1 - t) + [z ≤ 0] t",
        gradient="0",
        range="[0, 1]",
        use="to report the error rate; nothing can be trained with it",
        source="the count of errors",
    ),
    Entry(
        "probability-sum",
        modules.ProbabilitySumLoss,
        "binary",
        "logits",
        ("probability",),
        reference.probability_sum,
        "1 minus the probability of the right class",
        formula="1 - [t f + (1 - t)(1 - f)], f = σ(z)",
        gradient="(1 - 2t) f (1 - f)",
        range="[0, 1]",
        use="where labels are wrong more often than the model",
        source="Ghosh et al. 2017, arXiv 1712.09482",
    ),
    Entry(
        "softmax-focal",
        modules.SoftmaxFocalLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        reference.softmax_focal,
        "focal loss of a softmax",
        formula="(1 - p_y)^γ (-ln p_y)",
        gradient="(1 - p_y)^γ (1 - γ p_y ln p_y / (1 - p_y)) (p - e_y)",
        range="[0, ∞)",
        use="where most examples are easy",
        source="Lin et al. 2017, arXiv 1708.02002",
    ),
)
