"""Messages about bad arguments, and what every registered loss rejects; beside torch they are
compared in `test_bad_input.py`."""

import inspect
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.losses import functional
from lossbench.losses.registry import Entry

from .cases import each_built_in, each_built_in_case, sample

NAN = float("nan")
Z, P = torch.tensor([[0.5, 2.0, 1.0], [-1.0, 0.0, 3.0]]), torch.full((2, 3), 0.25)
Y = torch.tensor([0, 2])


def test_weights_may_be_learned() -> None:
    # torch has no derivative by a class weight; ours are differentiable by every float argument.
    weight = torch.ones(3, requires_grad=True)
    functional.cross_entropy(Z, Y, weight, reduction="sum").backward()
    expected = functional.cross_entropy(Z, Y, reduction="none")
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad[Y], expected)


# --- messages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "softmax_mse", "bernoulli_sum"])
@pytest.mark.parametrize("bad", [3, -7])
def test_an_index_out_of_range_is_named_with_its_position(name: str, bad: int) -> None:
    target = torch.tensor([[0, 1], [2, bad]])
    with pytest.raises(IndexError, match=rf"Target {bad} .* position \(1, 1\).*\[0, 3\)"):
        getattr(functional, name)(torch.rand(2, 3, 2), target)


@pytest.mark.parametrize("name", ["softmax_mse", "bernoulli_sum"])
def test_an_ignored_row_is_as_if_it_were_not_there(name: str) -> None:
    loss = getattr(functional, name)
    assert loss(Z, torch.tensor([2, -100])) == loss(Z[:1], torch.tensor([2]))
    with pytest.raises(IndexError, match="Target -1 "):
        loss(Z, torch.tensor([0, -1]))


def test_a_probability_out_of_range_is_named_with_its_position() -> None:
    x = P.clone()
    x[1, 2] = 1.5
    with pytest.raises(RuntimeError, match=r"input .* 1\.5 is at position \(1, 2\)"):
        functional.binary_cross_entropy(x, P)
    with pytest.raises(RuntimeError, match=r"target .* 1\.5 is at position \(1, 2\)"):
        functional.binary_cross_entropy(P, x)


@each_built_in
@pytest.mark.parametrize(
    ("reduction", "hint"),
    [("means", "'mean'"), ("men", "'mean'"), ("summ", "'sum'"), ("avg", None), ("norm", None)],
)
def test_a_misspelt_reduction_gets_the_nearest_one(
    entry: Entry, reduction: str, hint: str | None
) -> None:
    with pytest.raises(ValueError, match=f"{reduction!r} is not a valid") as caught:
        entry.build(reduction=reduction)
    message = str(caught.value)
    assert all(valid in message for valid in ("mean", "sum", "none"))
    assert ("did you mean" in message) == (hint is not None)
    assert hint is None or f": did you mean {hint}? use one of " in message


# --- bad input to every registered loss ----------------------------------------------------------


def refused(loss: Any, input: Tensor, target: Tensor, *words: str) -> None:
    with pytest.raises((ValueError, RuntimeError, IndexError, TypeError)) as caught:
        loss(input, target)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) > 20
    assert all(word in message for word in words), message


@each_built_in_case
def test_a_target_of_another_shape_is_refused(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind, (3, 4))
    loss = entry.build()
    if entry.takes == "outputs" and entry.task == "binary":
        with pytest.warns(UserWarning, match="broadcast"):
            loss(input, target[:1])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            refused(loss, input, target[:2])
        return
    if entry.name in ("kl-div", "soft-margin", "hinge-embedding", "multilabel-soft-margin"):
        # As torch's, these broadcast.
        refused(loss, input, target[:2])
        return
    refused(loss, input, target[:2])
    refused(loss, input, target[None])


@each_built_in_case
def test_an_input_that_holds_no_real_numbers_is_refused(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind, (3, 4), torch.float32)
    for dtype in (torch.int64, torch.bool, torch.complex64):
        if dtype != torch.complex64 and entry.takes == "outputs" and entry.task == "binary":
            continue  # As torch's, it promotes to the target's dtype.
        refused(entry.build(), input.to(dtype), target, str(dtype))


@each_built_in_case
def test_a_class_that_does_not_exist_is_named_with_its_position(entry: Entry, kind: str) -> None:
    if kind not in ("index", "labels"):
        pytest.skip("takes no indices")
    input, target = sample(entry, kind, (3, 4))
    place = (1,) if kind == "index" else (1, 0)
    for wrong in (4, -2):
        bad = target.clone()
        bad[place] = wrong
        refused(entry.build(), input, bad, str(wrong), str(place))
    refused(entry.build(), input, target.double() + 0.5)


@each_built_in
@pytest.mark.parametrize("bad", [NAN, float("inf"), float("-inf")], ids=str)
def test_a_setting_that_is_no_finite_number_is_refused(entry: Entry, bad: float) -> None:
    parameters = inspect.signature(entry.module).parameters.values()
    numbers = [p.name for p in parameters if type(p.default) is float]
    if not numbers:
        pytest.skip("has no settings")
    input, target = sample(entry, entry.targets[0], (3, 4))
    for name in numbers:
        refused(lambda z, t, name=name: entry.build(**{name: bad})(z, t), input, target, name)


@each_built_in
def test_class_weights_of_another_size_are_refused(entry: Entry) -> None:
    if entry.task != "multiclass" or "weight" not in inspect.signature(entry.module).parameters:
        pytest.skip("has no class weights")
    input, target = sample(entry, entry.targets[0], (3, 4))
    refused(entry.build(weight=torch.ones(3).double()), input, target, "weight", "(3,)")


@each_built_in_case
def test_what_is_no_tensor_is_a_type_error(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind, (3, 4))
    with pytest.raises(TypeError, match="target must be a Tensor, not list"):
        entry.build()(input, target.tolist())
    with pytest.raises(TypeError, match="input must be a Tensor, not list"):
        entry.build()(input.tolist(), target)


@each_built_in
def test_complex_weights_are_refused(entry: Entry) -> None:
    input, target = sample(entry, entry.targets[0], (3, 4))
    for name in ("weight", "pos_weight"):
        if name in inspect.signature(entry.module).parameters:
            weight = torch.ones(4, dtype=torch.complex64)
            refused(entry.build(**{name: weight}), input, target, "complex64")


@each_built_in
def test_rows_without_classes_cost_nothing_as_in_torch(entry: Entry) -> None:
    if entry.task != "multiclass" or entry.name == "kl-div":
        pytest.skip("has no class dimension of its own")
    for kind in entry.targets:
        rows = 0 if kind == "index" else 5
        empty = torch.zeros(rows, 0, requires_grad=True)
        target = torch.zeros((rows, 0) if rows else 0, dtype=None if rows else torch.int64)
        if entry.name in ("multi-margin", "squentropy"):
            refused(entry.build(), empty, target, "class")  # The first as in torch.
            continue
        for reduction in ("mean", "sum", "none"):
            loss = entry.build(reduction=reduction)(empty, target)
            theirs = F.cross_entropy(empty, target, reduction=reduction)
            assert torch.equal(loss.nan_to_num(7), theirs.nan_to_num(7))
            loss.sum().backward()


def test_an_ignore_index_is_an_integer() -> None:
    for wrong in (None, 1.0, True):
        with pytest.raises(TypeError, match="ignore_index must be an int"):
            functional.cross_entropy(Z, Y, ignore_index=wrong)  # type: ignore[arg-type]
