import itertools

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from lossbench.benchmarks.config import ARTICLE_LOSSES
from lossbench.benchmarks.plots.canvas import line_style
from lossbench.benchmarks.plots.palette import ON_DARK, STYLES, loss_style
from lossbench.losses import registry

# Brettel-like projections of linear RGB for readers without one kind of cone, as Machado, Oliveira
# and Fernandes (2009, IEEE TVCG 15, 1291-1298) give them at severity 1.
SIGHT = {
    "full": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def cielab(color, sight="full"):
    """Return CIELAB of a colour as a reader sees it; a distance of 2.3 is just noticed."""
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(SIGHT[sight]) @ linear, 0, 1)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(a, b):
    """Return the smallest distance of two colours over all kinds of sight."""
    return min(np.linalg.norm(cielab(a, sight) - cielab(b, sight)) for sight in SIGHT)


def test_every_loss_of_the_library_has_a_look_of_its_own():
    assert set(ARTICLE_LOSSES) <= set(STYLES) <= set(registry.names())
    styles = [loss_style(name) for name in registry.names()]
    lines = {(style["color"], style["linestyle"]) for style in styles}
    marks = {(style["color"], style["marker"]) for style in styles}
    assert len(lines) == len(marks) == len(styles)


def test_no_two_colours_are_one_to_anyone():
    colors = sorted({style["color"] for style in STYLES.values()})
    for one, other in itertools.combinations(colors, 2):
        assert distance(one, other) > 12, (one, other)


def test_every_colour_has_one_on_dark_that_is_told_apart_there():
    assert {loss_style(name)["color"] for name in [*STYLES, "my own loss"]} <= set(ON_DARK)
    for one, other in itertools.combinations(ON_DARK.values(), 2):
        assert distance(one, other) > 12, (one, other)
    for color in ON_DARK.values():
        assert distance(color, "#15181c") > 30, color


def test_every_colour_shows_on_white():
    for name, style in STYLES.items():
        assert distance(style["color"], "#ffffff") > 25, name


def test_the_ten_losses_are_told_apart_by_colour_alone():
    assert len({loss_style(name)["color"] for name in ARTICLE_LOSSES}) == 10


def test_the_likelihood_losses_are_blue_and_told_apart_by_line_alone():
    kin = [loss_style(name) for name in ("bce", "bce-with-logits", "cross-entropy", "nll")]
    for style in kin:
        red, _, blue = (int(style["color"][i : i + 2], 16) for i in (1, 3, 5))
        assert blue > red
    assert len({style["linestyle"] for style in kin}) == 4


@pytest.mark.parametrize("name", [*STYLES, "my own loss"])
def test_matplotlib_accepts_every_style(name):
    Line2D([0, 1], [0, 1], **loss_style(name))
    Line2D([0, 1], [0, 1], **line_style(name))


def test_the_style_of_an_unknown_loss_depends_on_its_name_alone():
    assert loss_style("my own loss") == {
        "color": "#0072B2",
        "linestyle": (0, (15, 4)),
        "marker": "8",
    }


def test_an_unknown_loss_never_looks_like_one_of_ours():
    looks = {(style["color"], style["linestyle"]) for style in STYLES.values()}
    for number in range(100):
        style = loss_style(f"loss {number}")
        assert (style["color"], style["linestyle"]) not in looks


def test_a_changed_copy_changes_nothing():
    loss_style("mse")["color"] = "red"
    assert loss_style("mse")["color"] != "red"


def test_a_solid_line_lies_below_a_broken_one():
    assert line_style("cross-entropy")["zorder"] < line_style("nll")["zorder"]
    assert line_style("cross-entropy")["linewidth"] > line_style("nll")["linewidth"]
    assert line_style("zero-one")["zorder"] < line_style("sigmoid-mse")["zorder"]
