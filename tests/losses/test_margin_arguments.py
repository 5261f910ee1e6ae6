"""What the margin losses reject, as torch does, and their modules."""

import inspect
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lossbench import losses
from lossbench.losses import functional

from .cases import assert_near
from .test_margin import INF, LISTS, OPTIONS, SIGN, WEIGHT, T, Y, Z

NAN = float("nan")

# --- bad input -----------------------------------------------------------------------------------

FLAT, MATRIX, CUBE = torch.zeros(3), torch.zeros(2, 3), torch.zeros(2, 3, 4)
PAIR, ROW = torch.tensor([0, 1]), torch.tensor([[0, -1, -1], [2, 1, -1]])
BAD: dict[str, tuple[str, Tensor, Tensor, dict[str, Any], str]] = {
    "mm-p": ("multi_margin_loss", MATRIX, PAIR, {"p": 3}, "p=3 .* 1 or 2"),
    "mm-weight-2d": ("multi_margin_loss", MATRIX, PAIR, {"weight": MATRIX}, "one-dimensional"),
    "mm-weight": ("multi_margin_loss", MATRIX, PAIR, {"weight": torch.ones(4)}, "3 classes"),
    "mm-weight-dtype": ("multi_margin_loss", MATRIX, PAIR, {"weight": FLAT.double()}, "float64"),
    "mm-cube": ("multi_margin_loss", CUBE, PAIR, {}, r"\(2, 3, 4\)"),
    "mm-classes": ("multi_margin_loss", MATRIX[:, :0], PAIR, {}, "at least one class"),
    "mm-batch": ("multi_margin_loss", MATRIX, PAIR[:1], {}, r"\(1,\).*\(2,\)"),
    "mm-column": ("multi_margin_loss", MATRIX, PAIR[:, None], {}, r"\(2, 1\)"),
    "mm-two": ("multi_margin_loss", FLAT, PAIR, {}, "one class index per row"),
    "mm-high": ("multi_margin_loss", MATRIX, PAIR + 2, {}, r"Target 3 .* position \(1,\)"),
    "mm-low": ("multi_margin_loss", MATRIX, PAIR - 100, {}, r"Target -100 .* position \(0,\)"),
    "mm-float": ("multi_margin_loss", MATRIX, PAIR.float(), {}, "integer"),
    "mm-int": ("multi_margin_loss", MATRIX.long(), PAIR, {}, r"input\.float"),
    "mm-reduction": ("multi_margin_loss", MATRIX, PAIR, {"reduction": "means"}, "'mean'"),
    "ml-cube": ("multilabel_margin_loss", CUBE, CUBE.long(), {}, r"\(2, 3, 4\)"),
    "ml-narrow": ("multilabel_margin_loss", MATRIX, ROW[:, :2], {}, r"\(2, 2\).*filled up with -1"),
    "ml-row": ("multilabel_margin_loss", MATRIX, ROW[0], {}, r"\(3,\)"),
    "ml-0d": ("multilabel_margin_loss", FLAT, ROW[0, 0], {}, r"\(\)"),
    "ml-high": ("multilabel_margin_loss", MATRIX, ROW + 1, {}, r"3 .*\(1, 0\).*padding=-1"),
    "ml-low": ("multilabel_margin_loss", MATRIX, ROW - 1, {}, r"Target -2 .* position \(0, 1\)"),
    "ml-float": ("multilabel_margin_loss", MATRIX, ROW.float(), {}, "integer"),
    "he-shape": ("hinge_embedding_loss", MATRIX, PAIR, {}, "must match"),
    "sm-shape": ("soft_margin_loss", MATRIX, PAIR, {}, r"\(2,\) cannot be broadcast"),
    "sm-larger": ("soft_margin_loss", FLAT, MATRIX, {}, r"\(2, 3\) cannot be broadcast"),
    "sm-int": ("soft_margin_loss", FLAT.long(), FLAT, {}, r"input\.float"),
    "ms-0d": ("multilabel_soft_margin_loss", FLAT[0], FLAT[0], {}, "no class dimension"),
    "ms-shape": ("multilabel_soft_margin_loss", MATRIX, MATRIX[:, :2], {}, "must match"),
    "ms-weight": ("multilabel_soft_margin_loss", MATRIX, MATRIX, {"weight": PAIR}, r"\(2,\)"),
    "ms-int": ("multilabel_soft_margin_loss", MATRIX.long(), MATRIX, {}, r"input\.float"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=list(BAD))
def test_what_torch_rejects(case: tuple[str, Tensor, Tensor, dict[str, Any], str]) -> None:
    name, input, target, options, message = case
    with pytest.raises(Exception) as theirs:  # noqa: PT011
        getattr(F, name)(input, target, **options)
    with pytest.raises(theirs.type, match=message) as ours:
        getattr(functional, name)(input, target, **options)
    assert "\n" not in str(ours.value)


@pytest.mark.parametrize("power", [0, 4, 1.5, -1, NAN], ids=repr)
@pytest.mark.parametrize("name", ["hinge", "one_vs_rest_hinge"])
def test_powers_are_one_two_or_three(name: str, power: Any) -> None:
    with pytest.raises(ValueError, match=f"{name}: power={power} .* 1, 2 or 3"):
        getattr(functional, name)(MATRIX, MATRIX, power=power)


@pytest.mark.parametrize("margin", [-0.5, INF, NAN], ids=repr)
def test_margins_are_finite_and_a_hinges_at_least_zero(margin: float) -> None:
    for loss in (functional.hinge, functional.one_vs_rest_hinge):
        with pytest.raises(ValueError, match=f"margin={margin} .* at least 0"):
            loss(MATRIX, MATRIX, margin=margin)
    if margin != -0.5:
        with pytest.raises(ValueError, match=f"margin={margin}"):
            functional.multi_margin_loss(MATRIX, PAIR, margin=margin)
        with pytest.raises(ValueError, match=f"margin={margin}"):
            functional.hinge_embedding_loss(FLAT, FLAT, margin=margin)


# --- modules -------------------------------------------------------------------------------------

DROP_INS = [
    "HingeEmbeddingLoss",
    "MultiLabelMarginLoss",
    "MultiLabelSoftMarginLoss",
    "MultiMarginLoss",
    "SoftMarginLoss",
]


def parameters(of: Any) -> list[tuple[str, Any]]:
    known = inspect.signature(of).parameters.values()
    return [(p.name, p.default) for p in known if p.name not in ("size_average", "reduce")]


@pytest.mark.parametrize("name", DROP_INS)
def test_modules_take_what_torchs_take(name: str) -> None:
    assert parameters(getattr(losses, name)) == parameters(getattr(nn, name))


@pytest.mark.parametrize("name", list(OPTIONS))
def test_functions_take_what_torchs_take(name: str) -> None:
    assert parameters(getattr(functional, name)) == parameters(getattr(F, name))


def test_settings_reach_the_function() -> None:
    module = losses.MultiMarginLoss(2, 0.5, WEIGHT, reduction="sum")
    theirs = nn.MultiMarginLoss(2, 0.5, WEIGHT, reduction="sum")
    assert_near(module(Z, Y), theirs(Z, Y), room=20)
    assert set(module.state_dict()) == set(theirs.state_dict()) == {"weight"}
    assert "p=2" in repr(module)
    assert_near(losses.HingeEmbeddingLoss(0.5)(Z, SIGN), nn.HingeEmbeddingLoss(0.5)(Z, SIGN))
    weighted = losses.MultiLabelSoftMarginLoss(WEIGHT)
    assert_near(weighted(Z, T), nn.MultiLabelSoftMarginLoss(WEIGHT)(Z, T))
    hinge = losses.HingeLoss(WEIGHT, margin=0.5, power=3)
    assert_near(hinge(Z, T), functional.hinge(Z, T, WEIGHT, margin=0.5, power=3))
    rows = losses.OneVsRestHingeLoss(WEIGHT, margin=1.0, power=2, ignore_index=3)
    expected = functional.one_vs_rest_hinge(Z, Y, WEIGHT, margin=1.0, power=2, ignore_index=3)
    assert_near(rows(Z, Y), expected)
    assert not torch.allclose(expected, functional.one_vs_rest_hinge(Z, Y, WEIGHT, power=2))


def test_bad_settings_are_found_at_construction() -> None:
    for settings in ({"p": 3}, {"weight": torch.ones(1, 3)}):
        for module in (nn.MultiMarginLoss, losses.MultiMarginLoss):
            with pytest.raises(ValueError, match=r"1 |1D|one-dim"):
                module(**settings)


def test_values_are_not_looked_at_under_vmap() -> None:
    loss = torch.func.vmap(functional.multilabel_margin_loss)
    expected = functional.multilabel_margin_loss(Z, LISTS, reduction="none")
    assert_near(loss(Z, LISTS), expected)
