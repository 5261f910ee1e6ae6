import dataclasses

import numpy as np
import pytest
import torch
from torchvision.transforms.v2.functional import affine, horizontal_flip, pad

from lossbench.benchmarks.data.batches import DeviceSplit, Normalisation, prepare
from lossbench.benchmarks.training.evaluate import evaluate, views
from lossbench.benchmarks.training.network import build_model
from lossbench.benchmarks.training.objective import Objective

from ..trained_runs import SMALL

CPU = torch.device("cpu")


def test_evaluating_leaves_the_model_as_it_was(images) -> None:
    objective = Objective("bce")
    model = build_model(dataclasses.replace(SMALL, loss="bce"), objective, 32)
    dataset = prepare(images, CPU)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    evaluate(model, objective, dataset.validation, dataset.normalise)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


@pytest.mark.parametrize("side", [32, 64, 100])
def test_views_are_the_image_its_mirror_image_and_both_shifted_to_each_corner(side: int) -> None:
    images = torch.rand(2, 3, side, side, dtype=torch.float64)
    by = side // 32
    expected = []
    for y, x in ((0, 0), (by, by), (by, -by), (-by, by), (-by, -by)):
        padded = pad(images, [2 * by] * 4, padding_mode="reflect")
        shifted = affine(padded, 0, [x, y], 1, [0, 0])
        shifted = shifted[:, :, 2 * by : -2 * by, 2 * by : -2 * by]
        expected += [shifted, horizontal_flip(shifted)]
    found = list(views(images, "mirror-shift"))
    assert torch.equal(torch.stack(found), torch.stack(expected))
    assert torch.equal(torch.stack(list(views(images, "mirror"))), torch.stack(expected[:2]))
    assert torch.equal(torch.stack(list(views(images, "none"))), torch.stack(expected[:1]))


def test_outputs_are_the_mean_over_the_views(images) -> None:
    objective = Objective("cross-entropy")
    model = build_model(SMALL, objective, 32)
    dataset = prepare(images, CPU)
    plain = Normalisation(torch.zeros(3), torch.ones(3))
    split = dataset.validation
    pixels = split.images[split.rows].permute(0, 3, 1, 2).float()
    _, averaged = evaluate(model, objective, split, plain, "mirror-shift")
    outputs = []
    for view in views(pixels, "mirror-shift"):
        # A view as the images of a split of its own.
        as_images = view.permute(0, 2, 3, 1).to(torch.uint8)
        view_split = DeviceSplit(as_images, split.labels, torch.arange(len(as_images)))
        outputs.append(evaluate(model, objective, view_split, plain)[1].outputs)
    assert len(outputs) == 10
    assert averaged.outputs == pytest.approx(np.mean(outputs, 0), abs=1e-5)
