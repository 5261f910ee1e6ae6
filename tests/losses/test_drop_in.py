"""Whatever torch.nn has, ours replace: signatures, deprecated arguments, classes and overrides."""

import inspect
import pickle
import warnings
from contextlib import nullcontext
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

from lossbench import losses
from lossbench.losses import functional, registry
from lossbench.losses.registry import Entry

from .cases import each_built_in, each_built_in_case, sample, value_and_gradient

# With a layer of their own; test_linear_arguments.py has these.
LAYERS = ("linear_cross_entropy", "LinearCrossEntropyLoss")
FUNCTIONS = [name for name in functional.__all__ if hasattr(F, name) and name not in LAYERS]
MODULES = [
    name
    for name in losses.__all__
    if name.endswith("Loss") and hasattr(nn, name) and name not in LAYERS
]
each_function = pytest.mark.parametrize("name", FUNCTIONS)
each_module = pytest.mark.parametrize("name", MODULES)
INDEXED = ("cross_entropy", "nll_loss", "multi_margin_loss", "multilabel_margin_loss")


def arguments(name: str, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """An input and a target for a function or a module of torch's."""
    generator = torch.Generator().manual_seed(0)
    input = torch.rand(4, 3, generator=generator).to(dtype) / 2 + 0.25
    if name in INDEXED or name in ("CrossEntropyLoss", "NLLLoss", "MultiMarginLoss"):
        if name == "multilabel_margin_loss":
            return input, torch.tensor([[0, -1, 0], [1, 2, -1], [-1, 0, 0], [2, 0, 1]])
        return input, torch.tensor([0, 2, 1, 2])
    if name == "MultiLabelMarginLoss":
        return arguments("multilabel_margin_loss", dtype)
    return input, torch.rand(4, 3, generator=generator).to(dtype)


def shape_of(function: Any) -> list[tuple[str, Any, Any]]:
    """Names, defaults and kinds of the parameters, without self."""
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.default, p.kind) for p in parameters if p.name != "self"]


# --- signatures ----------------------------------------------------------------------------------


def same_signature(ours: Any, theirs: Any) -> None:
    expected, found = shape_of(theirs), shape_of(ours)
    assert found[: len(expected)] == expected
    # Options of our own stand behind torch's, by name only.
    assert all(kind == inspect.Parameter.KEYWORD_ONLY for *_, kind in found[len(expected) :])


@each_function
def test_a_function_has_torchs_signature(name: str) -> None:
    same_signature(getattr(functional, name), getattr(F, name))


@each_module
def test_a_module_has_torchs_signature_and_is_one_of_torchs(name: str) -> None:
    ours, theirs = getattr(losses, name), getattr(nn, name)
    same_signature(ours.__init__, theirs.__init__)
    assert isinstance(ours(), theirs)
    assert isinstance(ours(), losses.Loss)


def settings_of(module: nn.Module) -> dict[str, Any]:
    hidden = {"training"}
    return {k: v for k, v in vars(module).items() if not k.startswith("_") and k not in hidden}


@each_module
def test_positional_arguments_of_a_module_are_torchs(name: str) -> None:
    given = [default for _, default, _ in shape_of(getattr(nn, name).__init__)]
    ours, theirs = getattr(losses, name)(*given), getattr(nn, name)(*given)
    assert settings_of(theirs).items() <= settings_of(ours).items()
    assert list(theirs.state_dict()) == list(ours.state_dict())


# --- deprecated arguments ------------------------------------------------------------------------

DEPRECATED: list[dict[str, Any]] = [
    {"size_average": True},
    {"size_average": False},
    {"reduce": True},
    {"reduce": False, "size_average": True},
    {"size_average": False, "reduction": "none"},
    {"reduction": "elementwise_mean"},
]
each_deprecated = pytest.mark.parametrize("options", DEPRECATED, ids=str)


def warned(call: Any, *given: Any, **options: Any) -> tuple[Tensor, list[str], set[type]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        value = call(*given, **options)
    # Ours does not announce that 'mean' is to become 'batchmean': it stays what it is.
    caught = [each for each in caught if "'mean' divides" not in str(each.message)]
    return value, [str(each.message) for each in caught], {each.category for each in caught}


@each_function
@each_deprecated
def test_deprecated_arguments_have_torchs_meaning_and_warning(
    name: str, options: dict[str, Any]
) -> None:
    if name == "multilabel_soft_margin_loss" and options == DEPRECATED[-1]:
        pytest.skip("torch's refuses it")
    theirs, said, kinds = warned(getattr(F, name), *arguments(name), **options)
    ours, *told = warned(getattr(functional, name), *arguments(name), **options)
    torch.testing.assert_close(ours, theirs)
    assert told == [said, kinds]


@each_module
@each_deprecated
def test_a_module_takes_deprecated_arguments_too(name: str, options: dict[str, Any]) -> None:
    if name == "MultiLabelSoftMarginLoss" and options == DEPRECATED[-1]:
        pytest.skip("torch's refuses it")

    def used(kind: Any, input: Tensor, target: Tensor) -> Tensor:
        result: Tensor = kind(**options)(input, target)
        return result

    theirs, said, kinds = warned(used, getattr(nn, name), *arguments(name))
    ours, *told = warned(used, getattr(losses, name), *arguments(name))
    torch.testing.assert_close(ours, theirs)
    assert told == [said, kinds]


def test_a_warning_names_the_line_of_the_caller() -> None:
    with pytest.warns(UserWarning, match="size_average and reduce") as caught:
        functional.mse_loss(torch.rand(3), torch.rand(3), False)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="broadcast") as caught:
        functional.l1_loss(torch.rand(3), torch.rand(1))
    assert caught[0].filename == __file__


@pytest.mark.slow
def test_deprecated_arguments_are_compiled() -> None:
    z, y = arguments("cross_entropy")
    compiled = torch.compile(functional.cross_entropy, fullgraph=True, backend="aot_eager")
    with pytest.warns(UserWarning, match="size_average and reduce"):
        value = compiled(z, y, size_average=False)
    torch.testing.assert_close(value, F.cross_entropy(z, y, reduction="sum"))


# --- arguments that torch accepts ----------------------------------------------------------------


@pytest.mark.parametrize("index", [np.int64(2), np.int8(2), torch.tensor(2)], ids=repr)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
def test_an_ignored_index_of_any_integer_type(name: str, index: Any) -> None:
    z, y = arguments(name, torch.float32)
    for ours in (functional, losses):
        value, gradient = value_and_gradient(getattr(ours, name), z, y, None, None, index)
        expected, truth = value_and_gradient(getattr(F, name), z, y, None, None, index)
        torch.testing.assert_close(value, expected)
        torch.testing.assert_close(gradient, truth)


@each_built_in
@pytest.mark.parametrize("index", [np.int64(2), torch.tensor(2)], ids=["numpy", "tensor"])
def test_every_loss_that_ignores_takes_any_integer(entry: Entry, index: Any) -> None:
    if "ignore_index" not in inspect.signature(entry.module).parameters:
        pytest.skip("ignores nothing")
    z, y = sample(entry, "index", dtype=torch.float32)
    assert torch.equal(entry.build(ignore_index=index)(z, y), entry.build(ignore_index=2)(z, y))


@each_built_in_case
@pytest.mark.parametrize("switch", [nullcontext, losses.kernels.closed_forms_only])
def test_class_weights_of_any_sign_are_factors(entry: Entry, kind: str, switch: Any) -> None:
    if entry.task != "multiclass" or "weight" not in inspect.signature(entry.module).parameters:
        pytest.skip("has no class weights")
    input, index = sample(entry, "index", (5, 4), torch.float32)
    target = index if kind == "index" else F.one_hot(index, 4).float()
    # A smoothed target weighs other classes too.
    weight = torch.tensor([1.0, -2.0, 0.0, 0.75] if entry.name != "label-smoothing" else [-2.0] * 4)
    factor = weight[index]
    with switch():
        loss = entry.build(reduction="none", weight=weight)
        found = value_and_gradient(loss, input, target)
        assert entry.build(weight=weight * float("nan"))(input, target).isnan()
    wide = target if kind == "index" else target.double()
    plain = entry.build(reduction="none")
    truth = value_and_gradient(lambda z: factor * plain(z, wide), input.double())
    for ours, exact in zip(found, truth, strict=True):
        torch.testing.assert_close(ours.double(), exact, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "multi_margin_loss"])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_negative_weights_are_torchs(name: str, reduction: str) -> None:
    z, y = arguments(name)
    weight = torch.tensor([1.0, -2.0, 0.75], dtype=z.dtype)
    options: dict[str, Any] = {"weight": weight, "reduction": reduction}
    found = value_and_gradient(lambda z: getattr(functional, name)(z, y, **options), z)
    truth = value_and_gradient(lambda z: getattr(F, name)(z, y, **options), z)
    torch.testing.assert_close(found, truth)


# --- __torch_function__ --------------------------------------------------------------------------


class Marked(Tensor):
    """A subclass that does nothing."""


class Recording(Tensor):
    """A subclass that records which functions are called with it."""

    called: ClassVar[list[Any]] = []

    @classmethod
    def __torch_function__(
        cls, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        cls.called.append(function)
        return super().__torch_function__(function, types, args, kwargs or {})


PUBLIC = [getattr(functional, name) for name in functional.__all__]


@each_built_in_case
def test_a_subclass_gets_its_own_class_and_sees_one_call(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    loss = entry.build(reduction="none")
    expected = value_and_gradient(loss, input, target)
    value = loss(input.as_subclass(Marked), target)  # type: ignore[arg-type]
    assert type(value) is Marked
    torch.testing.assert_close(value.as_subclass(Tensor), expected[0])
    Recording.called = []
    loss(input, target.as_subclass(Recording))  # type: ignore[arg-type]
    assert Recording.called[0] in PUBLIC
    found = value_and_gradient(loss, input.as_subclass(Marked), target)  # type: ignore[arg-type]
    torch.testing.assert_close(found[1].as_subclass(Tensor), expected[1])


def test_a_weight_of_a_subclass_is_seen_too() -> None:
    z, y = arguments("cross_entropy", torch.float32)
    weight = torch.ones(3).as_subclass(Marked)  # type: ignore[arg-type]
    assert type(functional.cross_entropy(z, y, weight)) is Marked
    t = torch.rand(4, 3)
    for option in ("weight", "pos_weight"):
        value = functional.binary_cross_entropy_with_logits(z, t, **{option: weight})  # type: ignore[arg-type]
        assert type(value) is Marked


def test_a_mode_sees_one_call_with_all_arguments() -> None:
    calls = []

    class Mode(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            calls.append((function, len(args), kwargs))
            return function(*args, **(kwargs or {}))

    z, y = arguments("cross_entropy")
    with Mode():
        value = functional.cross_entropy(z, y, label_smoothing=0.1, z_loss=0.5)
    ((function, count, options),) = calls
    assert function is functional.cross_entropy
    assert count == 2
    assert (options["label_smoothing"], options["z_loss"]) == (0.1, 0.5)
    expected = functional.cross_entropy(z, y, label_smoothing=0.1, z_loss=0.5)
    torch.testing.assert_close(value, expected)


# --- torch.fx ------------------------------------------------------------------------------------


class Both(nn.Module):
    """Calls a loss as a module and as a function."""

    def __init__(self, entry: Entry) -> None:
        super().__init__()
        self.loss = entry.build()
        self.function = type(self.loss).function  # type: ignore[union-attr]

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        result: Tensor = self.loss(input, target) + self.function(input, target)
        return result


@each_built_in_case
def test_symbolic_trace_records_a_loss_as_one_call(entry: Entry, kind: str) -> None:
    input, target = sample(entry, kind)
    module = Both(entry)
    traced = fx.symbolic_trace(module)
    calls = [node.target for node in traced.graph.nodes if node.op == "call_function"]
    assert sum(call in PUBLIC for call in calls) == 2
    expected = value_and_gradient(module, input, target)
    torch.testing.assert_close(value_and_gradient(traced, input, target), expected)


def test_a_traced_module_with_weights_is_pickled() -> None:
    z, y = arguments("cross_entropy", torch.float32)
    module = nn.Sequential(nn.Linear(3, 3))
    module.loss = losses.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)

    class Training(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = module

        def forward(self, input: Tensor, target: Tensor) -> Tensor:
            result: Tensor = self.body.loss(self.body[0](input), target)
            return result

    traced = pickle.loads(pickle.dumps(fx.symbolic_trace(Training())))
    torch.testing.assert_close(traced(z, y), Training()(z, y))


def test_every_public_loss_can_be_overridden() -> None:
    overridable = {type(entry.build()).function for entry in map(registry.entry, registry.names())}
    assert overridable <= set(PUBLIC)
