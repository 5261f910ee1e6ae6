import subprocess
import sys

import pytest
from matplotlib.lines import Line2D

from benchmarks.report.canvas import line_look
from benchmarks.report.palette import STYLES, style_of

TEN = (
    *("zero-one", "probability-sum", "bce", "bce-with-logits", "cross-entropy"),
    *("nll", "sigmoid-mse", "mse", "softmax-mse", "bernoulli-sum"),
)


def test_the_ten_losses_are_told_apart_by_colour_alone():
    assert set(STYLES) == set(TEN)
    assert len({style_of(name)["color"] for name in TEN}) == 10


def test_the_likelihood_losses_are_blue_and_told_apart_by_line_alone():
    kin = [style_of(name) for name in ("bce", "bce-with-logits", "cross-entropy", "nll")]
    for style in kin:
        red, _, blue = (int(style["color"][i : i + 2], 16) for i in (1, 3, 5))
        assert blue > red
    assert len({style["linestyle"] for style in kin}) == 4


@pytest.mark.parametrize("name", [*TEN, "my own loss"])
def test_matplotlib_accepts_every_style(name):
    Line2D([0, 1], [0, 1], **style_of(name))
    Line2D([0, 1], [0, 1], **line_look(name))


def test_an_unknown_loss_looks_the_same_in_another_process():
    code = "from benchmarks.report.palette import style_of; print(style_of('my own loss'))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(style_of("my own loss"))


def test_an_unknown_loss_never_looks_like_one_of_the_ten():
    looks = {(style["color"], style["linestyle"]) for style in STYLES.values()}
    for number in range(100):
        style = style_of(f"loss {number}")
        assert (style["color"], style["linestyle"]) not in looks


def test_a_changed_copy_changes_nothing():
    style_of("mse")["color"] = "red"
    assert style_of("mse")["color"] != "red"


def test_a_solid_line_lies_below_a_broken_one():
    assert line_look("cross-entropy")["zorder"] < line_look("nll")["zorder"]
    assert line_look("cross-entropy")["linewidth"] > line_look("nll")["linewidth"]
    assert line_look("zero-one")["zorder"] < line_look("sigmoid-mse")["zorder"]
