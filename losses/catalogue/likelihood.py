"""Losses that are the negative log-likelihood of a distribution that the model gives."""

from ..modules import likelihood as modules
from ..reference import likelihood as reference
from .entry import Entry

ENTRIES = (
    Entry(
        "bce",
        modules.BCELoss,
        "binary",
        "probabilities",
        ("probability",),
        reference.bce,
        "binary cross-entropy of probabilities",
        formula="-[t ln x + (1 - t) ln(1 - x)], each ln ≥ -100",
        gradient="(x - t) / (x (1 - x))",
        range="[0, 100]",
        use="where only probabilities are at hand; from logits bce-with-logits keeps its gradient",
        source="torch.nn.BCELoss",
    ),
    Entry(
        "bce-with-logits",
        modules.BCEWithLogitsLoss,
        "binary",
        "logits",
        ("probability",),
        reference.bce_with_logits,
        "binary cross-entropy from logits",
        formula="t ln(1 + exp(-z)) + (1 - t) ln(1 + exp z)",
        gradient="σ(z) - t",
        range="[0, ∞)",
        use="the default for two classes and for several labels",
        source="torch.nn.BCEWithLogitsLoss",
    ),
    Entry(
        "nll",
        modules.NLLLoss,
        "multiclass",
        "log-probabilities",
        ("index",),
        reference.nll,
        "negative log-likelihood of log-probabilities",
        formula="-x_y",
        gradient="-e_y",
        range="[0, ∞)",
        use="after a log-softmax that is needed anyway",
        source="torch.nn.NLLLoss",
    ),
    Entry(
        "bernoulli-sum",
        modules.BernoulliSumLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        reference.bernoulli_sum,
        "sum of Bernoulli cross-entropies of a softmax",
        formula="-Σ_c [t_c ln p_c + (1 - t_c) ln(1 - p_c)]",
        gradient="h - p Σ_j h_j, h = -t + (1 - t) p / (1 - p)",
        range="[0, ∞)",
        use="to compare with cross-entropy",
        source="the softmax read as a sum of Bernoulli distributions",
    ),
)
