"""Losses that are a distance between the target and what the model gives."""

from ..modules import distance as modules
from ..reference import distance as reference
from .entry import Entry

ENTRIES = (
    Entry(
        "sigmoid-mse",
        modules.SigmoidMSELoss,
        "binary",
        "logits",
        ("probability",),
        reference.sigmoid_mse,
        "half the squared error of a sigmoid",
        formula="(f - t)² / 2, f = σ(z)",
        gradient="(f - t) f (1 - f)",
        range="[0, 1/2]",
        use="to see a gradient die where the model is confidently wrong",
        source="the squared error of a probability",
    ),
    Entry(
        "mse",
        modules.MSELoss,
        "binary",
        "outputs",
        ("probability",),
        reference.mse,
        "squared error of the raw output",
        formula="(x - t)²",
        gradient="2 (x - t)",
        range="[0, ∞)",
        use="regression; with a tuned learning rate a fair classifier too",
        source="torch.nn.MSELoss",
    ),
    Entry(
        "softmax-mse",
        modules.SoftmaxMSELoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        reference.softmax_mse,
        "squared error of a softmax (Brier)",
        formula="Σ_c (p_c - t_c)²",
        gradient="2 J (p - t)",
        range="[0, 2]",
        use="a proper score that bounds what one example can cost",
        source="Brier 1950, Monthly Weather Review 78(1)",
    ),
)
