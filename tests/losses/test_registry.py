"""Names, and how a user adds one of their own."""

import doctest

import pytest
import torch
from torch import Tensor, nn

import losses
from losses import Entry, registry
from losses.reference import distance as reference

from .cases import each_loss

BINARY = ("zero-one", "probability-sum", "bce", "bce-with-logits", "sigmoid-mse", "mse")
MULTICLASS = ("cross-entropy", "nll", "softmax-mse", "bernoulli-sum")


class AbsoluteLoss(nn.Module):
    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return (input - target).abs().mean()


OWN = Entry(
    "absolute", AbsoluteLoss, "binary", "outputs", ("probability",), reference.mse, "absolute error"
)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Entry:
    monkeypatch.setattr(registry, "_entries", dict(registry._entries))
    registry.add(OWN)
    return OWN


def test_the_cast_is_complete() -> None:
    assert set(BINARY) <= set(registry.names("binary"))
    assert set(MULTICLASS) <= set(registry.names("multiclass"))


def test_names_are_in_the_order_of_registration(own: Entry) -> None:
    assert registry.names()[-1] == own.name
    assert registry.names("binary")[-1] == own.name
    assert own.name not in registry.names("multiclass")
    for task in ("binary", "multiclass"):
        expected = [name for name in registry.names() if registry.entry(name).task == task]
        assert list(registry.names(task)) == expected
    assert registry.names()[:2] == ("zero-one", "probability-sum")


@each_loss
def test_every_entry_builds_what_it_names(entry: Entry) -> None:
    assert registry.entry(entry.name) is entry
    module = registry.get(entry.name)
    assert type(module) is entry.module
    assert {name: getattr(module, name) for name in entry.settings} == dict(entry.settings)
    assert type(module).__name__ in losses.__all__
    assert entry.summary
    assert entry.name == entry.name.lower()


def test_settings_are_passed() -> None:
    module = registry.get("cross-entropy", label_smoothing=0.25, reduction="sum")
    assert (module.label_smoothing, module.reduction) == (0.25, "sum")
    with pytest.raises(TypeError, match="label_smoothing"):
        registry.get("mse", label_smoothing=0.1)


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("cross_entropy", "cross-entropy"),
        ("bernouli", "bernoulli-sum"),
        ("softmaxmse", "softmax-mse"),
    ],
)
@pytest.mark.parametrize("look_up", [registry.entry, registry.get], ids=["entry", "get"])
def test_an_unknown_name_gets_the_nearest(look_up: object, wrong: str, near: str) -> None:
    assert callable(look_up)
    with pytest.raises(KeyError, match=f"unknown loss '{wrong}': did you mean '{near}'"):
        look_up(wrong)


def test_a_name_near_nothing_gets_the_list() -> None:
    with pytest.raises(KeyError) as caught:
        registry.get("qqqq")
    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in registry.names())


def test_a_loss_of_ones_own(own: Entry) -> None:
    assert registry.entry("absolute") is own
    assert registry.get("absolute")(torch.tensor([3.0]), torch.tensor([1.0])) == 2.0


@pytest.mark.parametrize("name", ["absolute", "mse"])
@pytest.mark.usefixtures("own")
def test_a_name_is_given_once(name: str) -> None:
    before = registry.names()
    taken = Entry(
        name, AbsoluteLoss, "binary", "outputs", ("probability",), reference.mse, "another"
    )
    with pytest.raises(ValueError, match=f"{name!r} is already registered"):
        registry.add(taken)
    assert registry.names() == before
    assert registry.entry(name) is not taken


@pytest.mark.parametrize("module", [losses, registry], ids=lambda m: m.__name__)
def test_examples_in_the_documentation_run(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0
