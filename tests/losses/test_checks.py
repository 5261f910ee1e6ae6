"""What torch.nn.functional rejects we reject with the same exception type, in one line that says
what came; what it accepts we accept, with the same value. The other losses follow their kin."""

import inspect
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from lossbench.losses import functional
from lossbench.losses.registry import Entry

from .cases import assert_near, each_built_in, each_built_in_case, sample

NAN = float("nan")
Z, P = torch.tensor([[0.5, 2.0, 1.0], [-1.0, 0.0, 3.0]]), torch.full((2, 3), 0.25)
Y, B = torch.tensor([0, 2]), "binary_cross_entropy"
KIN = {
    "cross_entropy": ["softmax_mse", "bernoulli_sum"],
    "binary_cross_entropy_with_logits": ["zero_one", "probability_sum", "sigmoid_mse"],
}
# Ours are stricter here on purpose: a label smoothing below 0 or NaN and a complex probability mean
# nothing.
STRICTER = {
    "cross_entropy-smoothing-negative",
    "cross_entropy-smoothing-nan",
    "binary_cross_entropy_with_logits-target-complex",
}
# Ours are broader here: indices of every integer dtype, and bool for the classes 0 and 1.
BROADER = {
    "cross_entropy-target-int32",
    "nll_loss-target-int32",
    "binary_cross_entropy_with_logits-target-bool",
}


def shared(input: Tensor, target: Tensor) -> dict[str, tuple[Tensor, Tensor, dict[str, Any]]]:
    """Cases for every function, made from an input and a target that fit."""
    return {
        "valid": (input, target, {}),
        "reduction-unknown": (input, target, {"reduction": "means"}),
        "reduction-none": (input, target, {"reduction": None}),
        "reduction-case": (input, target, {"reduction": "Mean"}),
        "batch-differs": (input, target[:1].expand(4, *target.shape[1:]), {}),
        "target-one-shorter": (input, target[:1], {}),
        "target-0d": (input, target.flatten()[0], {}),
        "input-0d": (input[0, 0], target, {}),
        "input-int": (input.long(), target, {}),
        "input-bool": (input.bool(), target, {}),
        "input-complex": (input.to(torch.complex64), target, {}),
        "target-int32": (input, target.int(), {}),
        "target-int64": (input, target.long(), {}),
        "target-bool": (input, target.bool(), {}),
        "target-complex": (input, target.to(torch.complex64), {}),
        "double-input": (input.double(), target, {}),
        "half-input": (input.half(), target, {}),
        "empty-batch": (input[:0], target[:0], {}),
        "empty-batch-sum": (input[:0], target[:0], {"reduction": "sum"}),
        "both-0d": (input[0, 0], target.flatten()[0], {}),
    }


def weights(option: str, input: Tensor, target: Tensor, per_class: bool) -> dict[str, Any]:
    choices = {
        "right": torch.ones(3) * 2,
        "longer": torch.ones(4),
        "shorter": torch.ones(2),
        "single": torch.ones(1),
        "0d": torch.tensor(2.0),
        "2d": torch.ones(2, 3),
        "3d": torch.ones(1, 2, 3),
        "double": torch.ones(3, dtype=torch.float64),
        "half": torch.ones(3, dtype=torch.float16),
    }
    if per_class or option == "pos_weight":
        choices["negative"] = torch.tensor([1.0, -1.0, 2.0])
    if per_class:
        choices["int"] = torch.ones(3, dtype=torch.int64)
    return {f"{option}-{label}": (input, target, {option: w}) for label, w in choices.items()}


def index_cases() -> dict[str, Any]:
    return {
        **shared(Z, Y),
        **weights("weight", Z, Y, per_class=True),
        "index-too-large": (Z, torch.tensor([0, 3]), {}),
        "index-negative": (Z, torch.tensor([-1, 0]), {}),
        "index-other-than-ignored": (Z, torch.tensor([-1, 0]), {"ignore_index": -2}),
        "index-ignored": (Z, torch.tensor([-1, 0]), {"ignore_index": -1}),
        "index-uint8": (Z, Y.byte(), {}),
        "index-float": (Z, Y.float(), {}),
        "row-and-index": (Z[0], torch.tensor(1), {}),
        "row-and-index-1": (Z[0], torch.tensor([1]), {}),
        "row-and-index-too-large": (Z[0], torch.tensor(5), {}),
        "row-and-two-indices": (Z[0], Y, {}),
        "index-column": (Z, Y.unsqueeze(-1), {}),
        "images-and-flat": (torch.rand(2, 3, 4), Y, {}),
        "images-differ": (torch.rand(2, 3, 4), torch.zeros(2, 5, dtype=torch.int64), {}),
        "images-batch-differs": (torch.rand(2, 3, 4), torch.zeros(3, 4, dtype=torch.int64), {}),
        "no-classes": (torch.rand(2, 0), Y, {}),
    }


CASES: dict[str, dict[str, Any]] = {
    "cross_entropy": {
        **index_cases(),
        **{f"soft-{k}": case for k, case in weights("weight", Z, P, True).items()},
        **{f"soft-{k}": c for k, c in shared(Z, P).items() if not k.startswith("input-")},
        "soft-ignored-class": (Z, P, {"ignore_index": 1}),
        "soft-ignored-negative": (Z, P, {"ignore_index": -1}),
        "soft-classes-differ": (Z, torch.full((2, 4), 0.25), {}),
        "one-hot-int": (Z, torch.tensor([[1, 0, 0], [0, 0, 1]]), {}),
        "smoothing-above": (Z, Y, {"label_smoothing": 1.5}),
        "smoothing-negative": (Z, Y, {"label_smoothing": -0.5}),
        "smoothing-nan": (Z, Y, {"label_smoothing": NAN}),
    },
    "nll_loss": {**index_cases(), "one-hot": (Z, P, {})},
    "binary_cross_entropy_with_logits": {
        **shared(Z, P),
        **weights("weight", Z, P, per_class=False),
        **weights("pos_weight", Z, P, per_class=False),
        "target-column": (Z, P[:, :1], {}),
        "target-flat": (Z, P.flatten(), {}),
    },
    B: {
        **shared(P, P),
        **weights("weight", P, P, per_class=False),
        "target-flat": (P, P.flatten(), {}),
        "input-above": (P + 0.8, P, {}),
        "input-negative": (-P, P, {}),
        "input-nan": (P * NAN, P, {}),
        "target-above": (P, P + 0.8, {}),
        "target-negative": (P, -P, {}),
        "target-nan": (P, P * NAN, {}),
        "target-double": (P, P.double(), {}),
    },
    "mse_loss": {
        **shared(Z, P),
        "not-broadcastable": (Z, torch.rand(2, 4), {}),
        "both-int": (Z.long(), P.long(), {}),
        "weight-right": (Z, P, {"weight": torch.ones(2, 3)}),
        "weight-1d": (Z, P, {"weight": torch.ones(3)}),
        "weight-0d": (Z, P, {"weight": torch.tensor(2.0)}),
        "weight-double": (Z, P, {"weight": torch.ones(2, 3, dtype=torch.float64)}),
    },
}
FLAT = [(name, k, case) for name, cases in CASES.items() for k, case in cases.items()]


def outcome(function: Any, input: Tensor, target: Tensor, options: Any) -> Tensor | Exception:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return function(input, target, **options)
        except Exception as error:
            return error


def precision(x: Tensor) -> float:
    return torch.finfo(x.dtype).eps


def assert_clear(error: object, expected: Exception) -> None:
    assert isinstance(error, type(expected)), f"{error!r} where torch says {expected!r}"
    message = str(error)
    assert len(message) > 20
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "label", "case"), FLAT, ids=[f"{name}-{k}" for name, k, _ in FLAT]
)
def test_accepts_and_rejects_what_torch_does(name: str, label: str, case: Any) -> None:
    theirs, ours = outcome(getattr(F, name), *case), outcome(getattr(functional, name), *case)
    if f"{name}-{label}" in BROADER:
        assert isinstance(theirs, Exception)
        assert isinstance(ours, Tensor)
    elif f"{name}-{label}" in STRICTER:
        assert isinstance(theirs, Tensor)
        assert_clear(ours, RuntimeError())
    elif isinstance(theirs, Exception):
        assert_clear(ours, theirs)
    else:
        assert isinstance(ours, Tensor), f"{ours!r} where torch gives {theirs}"
        # torch's dtype, or input's where torch drops digits of it. The values agree to the digits
        # of the narrowest tensor, because torch may have computed in its dtype.
        assert ours.dtype == torch.promote_types(theirs.dtype, case[0].dtype)
        narrow = max((x for x in case[:2] if x.is_floating_point()), key=precision)
        ulps = 32 * precision(narrow) / precision(ours)
        assert_near(ours, theirs.double(), ulps)
    for kin in KIN.get(name, []):
        function = getattr(functional, kin)
        if set(case[2]) <= set(inspect.signature(function).parameters):
            relative = outcome(function, *case)
            if isinstance(ours, Exception):
                assert_clear(relative, ours)
            else:
                assert isinstance(relative, Tensor), f"{kin}: {relative!r}"
                assert relative.dtype == ours.dtype


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
    assert hint is None or message.endswith(f"did you mean {hint}?")


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
