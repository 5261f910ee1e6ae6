"""Softmax cross-entropy, and what is made of it."""

from ..modules import softmax as modules
from ..reference import softmax as reference
from .entry import Entry

ENTRIES = (
    Entry(
        "cross-entropy",
        modules.CrossEntropyLoss,
        "multiclass",
        "logits",
        ("index", "distribution"),
        reference.cross_entropy,
        "softmax cross-entropy",
        formula="ln Σ_c exp z_c - z_y",
        gradient="p - e_y",
        range="[0, ∞)",
        use="the default for more than two classes",
        source="torch.nn.CrossEntropyLoss",
    ),
)
