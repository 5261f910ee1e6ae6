"""Custom losses that are not registered: what they take is found by trying them."""

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import losses
from lossbench.losses import Entry, registry
from lossbench.losses.kinds import KINDS, LossKind, NoKindError, find_kind
from lossbench.losses.own import OwnLoss

from .cases import each_built_in

Z = torch.linspace(-3, 3, 8, requires_grad=True)
ROWS = torch.randn(8, 3, generator=torch.Generator().manual_seed(0), requires_grad=True)
LABELS = torch.arange(8) % 2


# --- losses as people write them -----------------------------------------------------------------


def mean_cross_entropy(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(z, t)


def soft_cross_entropy(z: Tensor, t: Tensor) -> Tensor:
    return -(t * F.log_softmax(z, -1)).sum(-1).mean()


def clamped(p: Tensor, t: Tensor) -> Tensor:
    p = p.clamp(1e-7, 1 - 1e-7)
    return -(t * p.log() + (1 - t) * (1 - p).log()).mean()


def unclamped(p: Tensor, t: Tensor) -> Tensor:
    return -(t * p.log() + (1 - t) * (1 - p).log()).mean()


def of_the_right_class(p: Tensor, t: Tensor) -> Tensor:
    return (1 - p.gather(1, t[:, None])).mean()


def likelihood(logp: Tensor, t: Tensor) -> Tensor:
    return -logp[torch.arange(len(t)), t]


def clamped_likelihood(p: Tensor, t: Tensor) -> Tensor:
    return -p[torch.arange(len(t)), t].clamp_min(1e-9).log()


def hinge(z: Tensor, y: Tensor) -> Tensor:
    return (1 - y * z).clamp_min(0).mean()


def ramp(z: Tensor, t: Tensor) -> Tensor:
    return ((1 - (2 * t - 1) * z) / 2).clamp(0, 1).mean()


def squared(z: Tensor, y: Tensor) -> Tensor:
    return (z - y) ** 2


def squared_rows(z: Tensor, t: Tensor) -> Tensor:
    return ((z - F.one_hot(t, z.shape[1])) ** 2).sum(1)


def brier(z: Tensor, t: Tensor) -> Tensor:
    return ((z.softmax(1) - F.one_hot(t, z.shape[1])) ** 2).sum(1).mean()


def dice(z: Tensor, t: Tensor) -> Tensor:
    p = z.sigmoid()
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def summed(z: Tensor, t: Tensor) -> Tensor:
    return F.cross_entropy(z, t, reduction="sum")


def divergence(logp: Tensor, t: Tensor) -> Tensor:
    return F.kl_div(logp, t, reduction="batchmean")


def falls_nowhere(z: Tensor, t: Tensor) -> Tensor:
    return 0 * z * t


class Focal(nn.Module):
    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, z: Tensor, t: Tensor) -> Tensor:
        logp = F.log_softmax(z, 1).gather(1, t[:, None])[:, 0]
        return (-((1 - logp.exp()) ** self.gamma) * logp).mean()


class NeedsWords(nn.Module):
    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words


smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)
poisson = nn.PoissonNLLLoss()
number = 3

KNOWN = {
    "torch.nn:CrossEntropyLoss": "multiclass,logits,index",
    "torch.nn:BCELoss": "binary,probabilities,probability",
    "torch.nn:MSELoss": "binary,outputs,sign",
    "torch.nn:HuberLoss": "binary,outputs,sign",
    "torch.nn:KLDivLoss": "multiclass,log-probabilities,distribution",
    "torch.nn:HingeEmbeddingLoss": "binary,distances,sign",
    "torch.nn:MultiLabelMarginLoss": "multilabel,logits,labels",
    "torch.nn:MultiLabelSoftMarginLoss": "multilabel,logits,probability",
    "torch.nn.functional:cross_entropy": "multiclass,logits,index",
    "torch.nn.functional:nll_loss": "multiclass,log-probabilities,index",
    "torch.nn.functional:binary_cross_entropy": "binary,probabilities,probability",
    "torch.nn.functional:binary_cross_entropy_with_logits": "binary,logits,probability",
    "torch.nn.functional:soft_margin_loss": "binary,logits,sign",
    "torch.nn.functional:hinge_embedding_loss": "binary,distances,sign",
    "torch.nn.functional:l1_loss": "binary,outputs,sign",
    "torch.nn.functional:multi_margin_loss": "multiclass,logits,index",
    "own:mean_cross_entropy": "multiclass,logits,index",
    "own:soft_cross_entropy": "multiclass,logits,distribution",
    "own:clamped": "binary,probabilities,probability",
    "own:unclamped": "binary,probabilities,probability",
    "own:of_the_right_class": "multiclass,probabilities,index",
    "own:likelihood": "multiclass,log-probabilities,index",
    "own:clamped_likelihood": "multiclass,probabilities,index",
    "own:hinge": "binary,logits,sign",
    "own:ramp": "binary,logits,probability",
    "own:squared": "binary,outputs,sign",
    "own:squared_rows": "multiclass,outputs,index",
    "own:brier": "multiclass,logits,index",
    "own:dice": "binary,logits,probability",
    "own:divergence": "multiclass,log-probabilities,distribution",
    "own:Focal": "multiclass,logits,index",
    "own:smoothed": "multiclass,logits,index",
}


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Provide this module under the name `own`, and forget what a test registers."""
    module = ModuleType("own")
    vars(module).update(globals())
    monkeypatch.setitem(sys.modules, "own", module)
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    monkeypatch.setattr(registry, "_locations", {})


# --- what they take ------------------------------------------------------------------------------


@pytest.mark.parametrize("spec", KNOWN)
def test_what_a_loss_takes_is_found(spec: str) -> None:
    entry = registry.entry(spec)
    assert entry.name == spec.replace(":", ".").lower()
    assert ",".join((entry.task, entry.takes, *entry.targets)) == KNOWN[spec]
    assert registry.location(entry.name) == f"{spec}={KNOWN[spec]}"
    assert registry.entry(spec) is registry.entry(f"{spec}={KNOWN[spec]}") is entry


@each_built_in
def test_what_a_registered_loss_takes_is_found(entry: Entry) -> None:
    kind = LossKind(entry.task, entry.takes, entry.targets[0])
    if kind.task == "binary" and kind.takes == "outputs":
        kind = kind._replace(target="sign")
    # A step has no slope, a teacher is no target of a kind, and a row of logits that are right or
    # wrong each by itself is nothing but these logits.
    if entry.name in ("zero-one", "multiclass-zero-one", "distillation", "multilabel-soft-margin"):
        return
    assert find_kind(entry.build(reduction="none"), KINDS, trusted=False) == (kind, False)


def test_a_statement_goes_before_what_is_found() -> None:
    entry = registry.entry("own:squared=probabilities,binary")
    assert (entry.takes, entry.targets) == ("probabilities", ("probability",))
    assert isinstance(entry.module, OwnLoss)
    assert entry.module.how == "as stated"
    entry = registry.entry("own:falls_nowhere=binary,logits,sign")
    assert (entry.takes, entry.targets) == ("logits", ("sign",))


def test_a_loss_of_a_whole_batch_says_so() -> None:
    module = registry.entry("own:dice").module
    assert isinstance(module, OwnLoss)
    assert "not the mean of its examples" in module.how


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("own:number", TypeError, "cannot be called: it is of type int"),
        ("own:summed", TypeError, "adds up its examples"),
        ("own:poisson", ImportError, "own:poisson=binary,logits,probability"),
        ("own:falls_nowhere", ImportError, "decreases for no known input"),
        ("own:hinge=multiclass,index", ImportError, "takes cannot be found out"),
        ("torch.nn.functional:gaussian_nll_loss", ImportError, "missing 1 required"),
        ("own:NeedsWords", ImportError, "cannot be built without arguments: TypeError"),
        ("own:hing", ImportError, "has no 'hing': did you mean 'hinge'"),
        ("own:hinge=binry", ValueError, "did you mean 'binary'"),
        ("own:hinge=binary,index", ValueError, "no loss takes binary,index"),
        ("nowhere:hinge", ImportError, "No module named 'nowhere'"),
    ],
)
def test_what_is_not_understood_is_said_in_one_line(spec: str, error: type, words: str) -> None:
    before = registry.names()
    with pytest.raises(error) as caught:
        registry.entry(spec)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert registry.names() == before


def test_a_loss_is_of_one_kind() -> None:
    registry.entry("own:hinge")
    with pytest.raises(ValueError, match="registered as binary,logits,sign, which is not binary,p"):
        registry.entry("own:hinge=binary,probabilities")
    with pytest.raises(ValueError, match="which is not binary"):
        registry.entry("lossbench.losses:CrossEntropyLoss=binary")
    assert registry.entry("lossbench.losses:CrossEntropyLoss").name == "cross-entropy"


def test_a_loss_that_fails_on_all_it_is_tried_on_says_how() -> None:
    with pytest.raises(NoKindError, match="ZeroDivisionError"):
        find_kind(lambda *_: 1 / 0, KINDS, trusted=False)


# --- what they compute ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "logits", "expected"),
    [
        ("own:hinge", Z, (1 - (2 * LABELS - 1) * Z).clamp_min(0)),
        ("own:mean_cross_entropy", ROWS, F.cross_entropy(ROWS, LABELS, reduction="none")),
        ("torch.nn:CrossEntropyLoss", ROWS, F.cross_entropy(ROWS, LABELS, reduction="none")),
        ("own:unclamped", Z, F.binary_cross_entropy_with_logits(Z, LABELS.float())),
        (
            "own:unclamped",
            ROWS,
            3 * F.binary_cross_entropy_with_logits(ROWS, F.one_hot(LABELS, 3).float()),
        ),
        (
            "torch.nn:BCELoss",
            ROWS,
            3 * F.binary_cross_entropy_with_logits(ROWS, F.one_hot(LABELS, 3).float()),
        ),
        ("own:divergence", ROWS, F.cross_entropy(ROWS, LABELS)),
    ],
)
def test_value_and_gradient_are_its_own(spec: str, logits: Tensor, expected: Tensor) -> None:
    entry = registry.entry(spec)
    each = entry.per_example_loss(entry.build(reduction="none"), logits, LABELS)
    assert each.shape == (8,)
    torch.testing.assert_close(each.mean(), expected.mean())
    gradients = [torch.autograd.grad(x.mean(), logits, retain_graph=True) for x in (each, expected)]
    torch.testing.assert_close(*gradients)


def test_an_instance_is_copied() -> None:
    entry = registry.entry("own:smoothed")
    built = entry.build()
    assert built.loss is not smoothed
    assert (built.loss.reduction, smoothed.reduction) == ("none", "mean")
    expected = F.cross_entropy(ROWS, LABELS, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(built(ROWS, LABELS), expected)


def test_a_loss_is_registered_where_it_is_found_and_nowhere_else() -> None:
    assert registry.location("cross-entropy") is None
    registry.entry("lossbench.losses:MSELoss")
    assert registry.location("mse") == "lossbench.losses:MSELoss"
    assert losses.get("own:hinge")(torch.zeros(2), torch.ones(2)).tolist() == [1.0, 1.0]
