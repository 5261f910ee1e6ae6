"""The arguments of the cross-entropy of a linear layer and of its module, beside torch's."""

import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lossbench import losses
from lossbench.losses import functional, linear_parts

X, W = torch.arange(12.0).reshape(6, 2) / 5, torch.tensor([[1.0, 2.0], [0.5, -1.0], [0.0, 1.0]])
B = torch.ones(3)
Y, T = torch.tensor([0, 2, 1, 0, 0, 1]), torch.full((6, 3), 1 / 3)
BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "input-0d": ({"input": X[0, 0]}, RuntimeError, "expected input of 1 or 2 dimensions"),
    "input-3d": ({"input": X.reshape(2, 3, 2)}, RuntimeError, "flatten a sequence"),
    "weight-1d": ({"linear_weight": W[0]}, RuntimeError, "linear_weight of at least 2"),
    "features": ({"input": X[:, :1]}, RuntimeError, "got 1 and 2"),
    "bias-shape": ({"linear_bias": B[:2]}, RuntimeError, r"linear_bias shape \(3,\).*got \(2,\)"),
    "several-unbatched": (
        {"input": X[0], "linear_weight": W[:, None], "target": Y[:1], "linear_bias": None},
        RuntimeError,
        "unsqueeze",
    ),
    "input-integer": ({"input": X.long()}, RuntimeError, "torch.int64"),
    "integers": (
        {"input": X.long(), "linear_weight": W.long(), "linear_bias": B.long()},
        NotImplementedError,
        "torch.int64",
    ),
    "weight-double": ({"linear_weight": W.double()}, RuntimeError, "linear_weight of dtype"),
    "bias-half": ({"linear_bias": B.half()}, RuntimeError, "linear_bias of dtype torch.float16"),
    "soft-ignored": ({"target": T, "ignore_index": -1}, RuntimeError, "ignore_index=-1"),
    "soft-integer": ({"target": T.long()}, RuntimeError, "floating point type"),
    "float-index": ({"target": Y.float()}, RuntimeError, "integer dtype"),
    "batch": ({"target": Y[:5]}, ValueError, "5"),
    "index-column": ({"target": Y[:, None]}, RuntimeError, "index"),
    "index-large": ({"target": Y + 1}, IndexError, "Target 3 is out of bounds at position"),
    "index-negative": ({"target": Y - 1}, IndexError, "Target -1"),
    "class-weight": ({"weight": B[:2]}, RuntimeError, "3 classes"),
    "class-weight-double": ({"weight": B.double()}, RuntimeError, "torch.float64"),
    "smoothing": ({"label_smoothing": 1.5}, RuntimeError, "label_smoothing"),
    "reduction": ({"reduction": "means"}, ValueError, "'mean'"),
    "z-loss": ({"z_loss": -1.0}, ValueError, "linear_cross_entropy: z_loss=-1.0"),
    "softcap": ({"softcap": 0.0}, ValueError, "softcap=0.0"),
    "options": ({"options": 7}, TypeError, "LinearCrossEntropyOptions or None, not int"),
    "not-a-tensor": ({"linear_bias": 1.0}, TypeError, "linear_bias must be a Tensor"),
}


@pytest.mark.parametrize("small", [True, False], ids=["whole", "parts"])
@pytest.mark.parametrize(("changed", "error", "words"), BAD.values(), ids=list(BAD))
def test_bad_arguments(
    changed: dict[str, Any],
    error: type[Exception],
    words: str,
    small: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not small:
        monkeypatch.setattr(linear_parts, "SMALL", 0)
    arguments = {"input": X, "linear_weight": W, "target": Y, "linear_bias": B} | changed
    with pytest.raises(error, match=words) as caught:
        functional.linear_cross_entropy(**arguments)
    assert "\n" not in str(caught.value)


has_torch_s = pytest.mark.skipif(
    not hasattr(F, "linear_cross_entropy"), reason="torch has it since 2.13"
)


@has_torch_s
@pytest.mark.parametrize(("changed", "error", "words"), BAD.values(), ids=list(BAD))
def test_torch_raises_the_same_type(
    changed: dict[str, Any],
    error: type[Exception],
    words: str,  # noqa: ARG001
) -> None:
    if set(changed) & {"z_loss", "softcap", "options"} or error is TypeError:
        pytest.skip("torch has no such check")
    arguments = {"input": X, "linear_weight": W, "target": Y, "linear_bias": B} | changed
    with pytest.raises(error):
        F.linear_cross_entropy(**arguments)


@has_torch_s
def test_signatures_begin_with_those_of_torch() -> None:
    pairs = [
        (functional.linear_cross_entropy, F.linear_cross_entropy),
        (losses.LinearCrossEntropyLoss, nn.LinearCrossEntropyLoss),
    ]
    for ours, theirs in pairs:
        expected = [
            (p.name, p.default, p.kind) for p in inspect.signature(theirs).parameters.values()
        ]
        found = [(p.name, p.default, p.kind) for p in inspect.signature(ours).parameters.values()]
        assert found[: len(expected)] == expected
        assert [name for name, *_ in found[len(expected) :]] == ["z_loss", "softcap"]


@has_torch_s
def test_the_module_is_one_of_torch_s() -> None:
    assert isinstance(losses.LinearCrossEntropyLoss(2, 3), nn.LinearCrossEntropyLoss)


def test_modes_and_subclasses_override_it() -> None:
    class Mine(torch.Tensor):
        pass

    found = functional.linear_cross_entropy(X.as_subclass(Mine), W, Y)
    assert type(found) is Mine
    with torch.device("cpu"):
        assert torch.equal(
            found.as_subclass(torch.Tensor), functional.linear_cross_entropy(X, W, Y)
        )


def test_an_ignore_index_of_another_kind() -> None:
    expected = functional.linear_cross_entropy(X, W, Y, ignore_index=1)
    found = functional.linear_cross_entropy(X, W, Y, ignore_index=torch.tensor(1))  # type: ignore[arg-type]
    assert torch.equal(found, expected)


@has_torch_s
def test_torch_s_options_are_accepted() -> None:
    options = nn.LinearCrossEntropyOptions(batch_chunk_size=2, chunking_method=None)
    found = functional.linear_cross_entropy(X, W, Y, options=options)
    torch.testing.assert_close(found, F.linear_cross_entropy(X, W, Y))


@has_torch_s
def test_the_state_of_torch_s_module_is_ours() -> None:
    arguments = {"out_features": (2, 2), "bias": True, "weight": B, "label_smoothing": 0.1}
    theirs = nn.LinearCrossEntropyLoss(2, 3, **arguments)
    ours = losses.LinearCrossEntropyLoss(2, 3, **arguments)
    ours.load_state_dict(theirs.state_dict())
    target = torch.zeros(6, 2, 2, dtype=torch.int64)
    torch.testing.assert_close(ours(X, target), theirs(X, target))


def test_the_module_is_its_layer_and_the_function() -> None:
    module = losses.LinearCrossEntropyLoss(2, 3, bias=True, reduction="sum", z_loss=0.1)
    bias = module.linear.bias
    expected = functional.linear_cross_entropy(
        X, module.linear.weight, Y, linear_bias=bias, reduction="sum", z_loss=0.1
    )
    loss = module(X, Y)
    assert torch.equal(loss, expected)
    loss.backward()
    assert all(p.grad is not None for p in module.parameters())
    assert module(X, T).shape == ()
    half = losses.LinearCrossEntropyLoss(2, 3, dtype=torch.bfloat16, reduction="none")
    assert half(X.bfloat16(), Y).dtype == torch.bfloat16
    assert module(X[0], Y[0]).shape == ()


def test_repr_shows_the_settings() -> None:
    shown = repr(losses.LinearCrossEntropyLoss(2, 3, out_features=(4,), weight=B, softcap=2.0))
    for part in ("num_classes=3", "out_features=(4,)", "weight=[3]", "softcap=2.0", "Linear(in_f"):
        assert part in shown


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"weight": B[:2]}, RuntimeError, r"\(3,\), got \(2,\)"),
        ({"label_smoothing": -0.1}, RuntimeError, "label_smoothing"),
        ({"reduction": "Mean"}, ValueError, "did you mean 'mean'"),
    ],
    ids=["weight", "smoothing", "reduction"],
)
def test_bad_settings_are_found_at_construction(
    changed: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        losses.LinearCrossEntropyLoss(2, 3, **changed)
