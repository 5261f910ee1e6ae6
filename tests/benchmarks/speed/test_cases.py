"""Rows of the losses' tables: which there are, their bounds, and what they measure."""

import math
from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch

from lossbench.benchmarks.speed import cases as module
from lossbench.benchmarks.speed.cases import (
    CONDITIONS,
    Case,
    Condition,
    cases,
    forward_backward,
    loss_inputs,
    quick_cases,
)
from lossbench.benchmarks.speed.interleaved import Ratio, copy_bandwidth
from lossbench.losses import kernels, registry

RATIO = Ratio(1.0, 1.0, 1.0, 3, value=1.0, reference=1.0)
NOTHING = nullcontext()
NAMED = {condition.name: condition for condition in CONDITIONS}


def test_quick_rows_are_a_small_and_a_large_one_of_every_loss_in_two_dtypes() -> None:
    found = list(quick_cases())
    for name in registry.names():
        of_loss = [(case.condition.name, case.large) for case in found if case.loss == name]
        wanted = [(dtype, large) for dtype in ("float32", "bfloat16") for large in (False, True)]
        assert of_loss == wanted


def test_every_loss_is_measured_under_every_condition_that_it_can_be() -> None:
    found = list(cases())
    assert len({case.id for case in found}) == len(found)
    per = {name: {r.loss for r in found if r.condition.name == name} for name in NAMED}
    everything = set(registry.names())
    entries = {name: registry.entry(name) for name in everything}
    soft = {name for name in everything if entries[name].targets == ("index", "distribution")}
    of_index = {name for name in everything if entries[name].targets[0] in ("index", "labels")}
    for name in ("float32", "bfloat16", "float16", "float64", "no compiler", "compiled"):
        assert per[name] == everything
    assert per["soft targets"] == per["soft targets, bfloat16"] == soft
    assert per["float64 targets"] == everything - (of_index - soft) - {"bce"}
    assert per["channels_last"] == {
        name for name in everything if entries[name].task == "multiclass" and entries[name].images
    }


@pytest.mark.parametrize(
    ("loss", "shape", "condition", "bound"),
    [
        ("cross-entropy", (1024, 1000), "float32", 0.30),
        ("cross-entropy", (1024, 1000), "bfloat16", 0.5),
        ("bce-with-logits", (1 << 24,), "float32", 0.20),
        ("poly-1", (1024, 1000), "float32", 0.5),
        ("poly-1", (64, 2), "float32", 0.6),
        ("cross-entropy", (64, 2), "float32", 0.85),
        ("poly-1", (64, 2), "bfloat16", 0.85),
        ("mse", (64,), "float64", 1.0),
        ("mse", (1_000_000,), "float64 targets", 0.6),
        ("poly-1", (512, 10), "no compiler", 3.0),
        ("multilabel-margin", (512, 10), "no compiler", 10.0),
        ("poly-1", (1024, 1000), "compiled", 1.1),
    ],
)
def test_bounds(loss: str, shape: tuple[int, ...], condition: str, bound: float) -> None:
    case = Case(loss, shape, NAMED[condition])
    assert case in list(cases())
    assert case.bound == case.target().bound == bound


@pytest.mark.parametrize("condition", CONDITIONS, ids=lambda condition: condition.name)
def test_inputs_are_those_of_the_condition(condition: Condition) -> None:
    for name in registry.names():
        entry, kind = registry.entry(name), condition.target_type(registry.entry(name))
        if kind is None:
            continue
        shape = (8,) if entry.task == "binary" else (8, 3)
        input, target = loss_inputs(entry, shape, condition, kind)
        assert (input.shape, input.dtype) == (shape, condition.dtype)
        if target.is_floating_point():
            assert target.dtype == (condition.target_dtype or condition.dtype)
        assert entry.build()(input, target).isfinite()


def test_classes_of_images_are_the_last_in_memory() -> None:
    entry, shape = registry.entry("poly-1"), (2, 3, 4, 5)
    input, target = loss_inputs(entry, shape, NAMED["channels_last"], "index")
    assert input.shape == shape
    assert target.shape == (2, 4, 5)
    assert input.is_contiguous(memory_format=torch.channels_last)
    assert loss_inputs(entry, shape, NAMED["float32"], "index")[0].is_contiguous()


def test_a_row_has_a_ratio_and_a_bandwidth() -> None:
    case = Case("mse", (64,), NAMED["float32"])
    ratio = case.measure(0.01)
    assert ratio.median > 0
    assert ratio.bandwidth == pytest.approx(5 * 64 * 4 / ratio.value)
    assert ratio.share_of_copy == ratio.bandwidth / copy_bandwidth(5 * 64 * 4)


def test_the_bytes_are_those_of_two_passes_and_the_gradient() -> None:
    assert Case("poly-1", (8, 3), NAMED["bfloat16"]).works().bytes == 3 * 24 * 2 + 2 * 8 * 8
    assert Case("mse", (8,), NAMED["float64"]).works().bytes == 5 * 8 * 8


def test_without_a_compiler_the_closed_forms_are_measured(monkeypatch) -> None:
    computed = []
    monkeypatch.setattr(module, "time_ratio", lambda *_, **__: computed.append("timed") or RATIO)
    monkeypatch.setattr(kernels, "closed_forms_only", lambda: computed.append("closed") or NOTHING)
    for name in ("float32", "no compiler"):
        Case("mse", (8,), NAMED[name]).measure(0.01)
    assert computed == ["timed", "closed", "timed"]


@pytest.mark.slow
def test_both_sides_are_compiled(monkeypatch) -> None:
    compiled = []
    plain = torch.compile
    monkeypatch.setattr(torch, "compile", lambda x, **k: compiled.append(x) or plain(x, **k))
    works = Case("poly-1", (8, 3), NAMED["compiled"]).works()
    assert len(compiled) == 2
    torch.testing.assert_close(works.ours(), works.theirs())


def test_work_is_forward_and_backward() -> None:
    (gradient,) = forward_backward(torch.nn.functional.mse_loss, torch.ones(4), torch.zeros(4))()
    assert gradient.tolist() == [0.5] * 4


def test_a_loss_of_a_user_has_rows_if_it_has_a_textbook_formula(monkeypatch) -> None:
    entry = registry.entry("mse")
    for name, textbook in (("mine", entry.textbook), ("bare", None)):
        mine = replace(entry, name=name, textbook=textbook)
        monkeypatch.setitem(registry._entries, name, mine)
    found = {case.loss for case in cases()}
    assert "mine" in found
    assert "bare" not in found


def test_large_is_by_the_number_of_elements() -> None:
    for case in cases():
        assert case.large == (math.prod(case.shape) >= 1_000_000)
