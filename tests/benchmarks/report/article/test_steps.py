"""Every number of the article's page is what mpmath makes of the three logits."""

import re

import pytest
from mpmath import mp

from lossbench.benchmarks.report.article.numbers import EXAMPLE, Images
from lossbench.benchmarks.report.article.steps import STEPS

# With other logits every number changes, so none is typed by hand.
OTHERS = Images(EXAMPLE.names, (0.7, -2.6, -1.9), EXAMPLE.targets)


@pytest.fixture(autouse=True)
def digits():
    with mp.workdps(40):
        yield


def sigmoid(z):
    return 1 / (1 + mp.exp(-z))


def right(z, t):
    return sigmoid(z if t else -z)


def softmax_right(row, y):
    return mp.exp(row[y]) / mp.fsum(map(mp.exp, row))


def entropy(row, y):
    return -mp.log(softmax_right(row, y))


def bernoulli(row, y):
    others = [c for c in range(len(row)) if c != y]
    return entropy(row, y) - mp.fsum(mp.log(1 - softmax_right(row, c)) for c in others)


LOSSES = {
    "p": right,
    "1 - p": lambda z, t: 1 - right(z, t),
    "bce": lambda z, t: -mp.log(right(z, t)),
    "printed": lambda z, t: -mp.log(sigmoid(z)) if t else -mp.log(1 - mp.log(sigmoid(z))),
    "squared": lambda z, t: (sigmoid(z) - t) ** 2 / 2,
    "raw": lambda z, t: (z - (2 * t - 1)) ** 2,
    "bernoulli": lambda z, t: bernoulli([-z / 2, z / 2], t),
    "entropy of 3": lambda z, t: entropy([-z / 2, z / 2, 0], t),
    "bernoulli of 3": lambda z, t: bernoulli([-z / 2, z / 2, 0], t),
}


def slope(loss, z, t):
    return mp.diff(lambda x: loss(x, t), z)


class Truth:
    """Values and derivatives of the losses for three images."""

    def __init__(self, images):
        self.z = [mp.mpf(z) for z in images.logits]
        self.t = images.targets
        self.f = [sigmoid(z) for z in self.z]
        self.value = {
            name: [loss(z, t) for z, t in zip(self.z, self.t, strict=True)]
            for name, loss in LOSSES.items()
        }
        self.slope = {
            name: [slope(loss, z, t) for z, t in zip(self.z, self.t, strict=True)]
            for name, loss in LOSSES.items()
        }
        self.sum = mp.fsum(self.value["p"])
        self.product = mp.fprod(self.value["p"])

    def slope_of_log_of_sum(self, index):
        rest = self.sum - self.value["p"][index]
        return mp.diff(lambda x: -mp.log(rest + right(x, self.t[index])), self.z[index])

    def steps(self, name):
        z, count = self.z[1], 0
        while z <= 0:
            z -= slope(LOSSES[name], z, 1)
            count += 1
        return count


def with_sum(values):
    return [*values, mp.fsum(values)]


def rows_of(index, w):
    """Return the rows of a step's table."""
    v, s = w.value, w.slope
    bce = with_sum(v["bce"])
    two = [a / b for a, b in zip(v["bernoulli"], v["bce"], strict=True)]
    three = [a / b for a, b in zip(v["bernoulli of 3"], v["entropy of 3"], strict=True)]
    factor = [a / b for a, b in zip(s["squared"], s["bce"], strict=True)]
    of_sum = [w.slope_of_log_of_sum(i) for i in range(3)]
    p_3 = [mp.exp(-x) for x in v["entropy of 3"]]
    stepped = [z - g for z, g in zip(w.z, s["bce"], strict=True)]
    return (
        [[0, 1, 0, 1], [0, 0, 0]],
        [with_sum(v["p"]), with_sum(v["1 - p"]), s["1 - p"]],
        [[*v["p"], w.product], [*v["bce"], -mp.log(w.product)], s["bce"], of_sum],
        [bce, with_sum(v["printed"]), s["bce"], s["printed"]],
        [w.t, w.f, bce, bce, s["bce"]],
        [w.f, w.t, s["bce"], w.z, stepped],
        [with_sum(v["squared"]), s["squared"], s["bce"], factor],
        [bce, s["bce"], p_3, with_sum(v["entropy of 3"]), [p - 1 for p in p_3]],
        [with_sum(v["bernoulli"]), two, with_sum(v["bernoulli of 3"]), three],
    )[index]


def prose_of(index, w):
    """Return the numbers of a step's formulas and sentences that are not in its table."""
    v, s = w.value, w.slope
    wrong = -w.z[1]
    return (
        [],
        [w.f[2], *map(abs, s["1 - p"])],
        [w.product, mp.log(w.product) / -3, -mp.log(w.sum), abs(s["bce"][1]), w.sum,
         abs(w.slope_of_log_of_sum(1)), s["bce"][1] / s["1 - p"][1]],
        [LOSSES["printed"](mp.mpf(-1000), 0), wrong, sigmoid(wrong),
         slope(LOSSES["printed"], wrong, 0), v["bce"][2]],
        [],
        [s["bce"][1] / s["bce"][0]],
        [abs(s["squared"][1]), s["bce"][1] / s["squared"][1], s["raw"][1]],
        [],
        [],
    )[index]  # fmt: skip


def parsed(text):
    return float(text.replace("−", "-").replace(",", ""))


@pytest.mark.parametrize("images", [EXAMPLE, OTHERS], ids=["example", "others"])
@pytest.mark.parametrize("index", range(len(STEPS)), ids=lambda index: STEPS[index].__name__)
def test_numbers(index, images):
    step, truth = STEPS[index](images), Truth(images)
    rows = rows_of(index, truth)
    found = [[parsed(cell) for cell in row[1:] if cell] for row in step.table.rows]
    assert len(found) == len(rows)
    for numbers, expected in zip(found, rows, strict=True):
        assert numbers == pytest.approx([float(x) for x in expected], rel=5.1e-3, abs=1e-30)
    known = [float(x) for numbers in [prose_of(index, truth), *rows] for x in numbers]
    said = " ".join([*step.formulas, step.right, step.slips]).replace("arXiv 2006.07322", "")
    for number in re.findall(r"−?\d+\.\d+", said):
        assert any(parsed(number) == pytest.approx(x, rel=5.1e-3) for x in known), number


@pytest.mark.parametrize("images", [EXAMPLE, OTHERS], ids=["example", "others"])
@pytest.mark.parametrize(("index", "name"), [(1, "1 - p"), (5, "bce"), (6, "squared")])
def test_steps(index, name, images):
    step = STEPS[index](images)
    (count,) = re.findall(r"is right after (\d+) steps", f"{step.right} {step.slips}")
    assert int(count) == Truth(images).steps(name)


def test_what_the_sentences_say_of_the_example():
    w = Truth(EXAMPLE)
    first, wrong, dog = (z > 0 for z in w.z)
    assert (first, wrong, dog) == (True, False, False)
    size = {name: [abs(g) for g in slopes] for name, slopes in w.slope.items()}
    # The only error has the largest gradient of cross-entropy, and no other's.
    assert max(size["bce"]) == size["bce"][1]
    assert size["1 - p"][1] == min(size["1 - p"])
    assert size["squared"][1] < size["squared"][2]
    # The printed term pulls at a dog that is right, more than at one that is confidently wrong.
    assert size["printed"][2] > 10 * abs(slope(LOSSES["printed"], -w.z[1], 0))
    assert w.value["printed"][2] < 0
