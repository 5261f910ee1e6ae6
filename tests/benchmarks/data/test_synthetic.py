"""Drawn faces: the same every time, half cats, and told apart by shape rather than colour."""

import numpy as np
import pytest
import torch
from torch import nn

from lossbench.benchmarks.data.synthetic import draw, synthetic


def pixels(source, count):
    """The first pictures of the training split, both classes in turn."""
    chosen = sorted(source.images(), key=lambda p: p.key)[:count]
    faces = [load() for _, load in source.load(chosen)]
    return np.stack(faces), np.array([p.label for p in chosen])


@pytest.mark.parametrize("size", [32, 64, 224])
def test_faces_are_the_same_every_time_and_each_its_own(size):
    first = draw(1, (1, 2, 3), size)
    assert first.shape == (size, size, 3)
    assert first.dtype == np.uint8
    assert (first == draw(1, (1, 2, 3), size)).all()
    assert (first != draw(1, (1, 2, 4), size)).any()
    assert (first != draw(0, (1, 2, 3), size)).any()


def test_both_splits_hold_half_cats_and_share_no_face():
    source = synthetic(train=40, test=20)
    for split, count in (("train", 40), ("test", 20)):
        labels = [p.label for p in source.images() if p.split == split]
        assert len(labels) == count
        assert sum(labels) == count // 2
    faces = {load().tobytes() for _, load in source.load(source.images())}
    assert len(faces) == 60
    assert source.synthetic
    assert "SYNTHETIC" in source.description
    default = synthetic()
    assert [sum(p.split == s for p in default.images()) for s in ("train", "test")] == [2000, 500]


def test_colour_alone_does_not_tell_the_classes_apart():
    faces, labels = pixels(synthetic(), 400)
    colours = np.c_[faces.mean((1, 2)), faces.std((1, 2)), np.ones(400)]
    half = 200
    weights = np.linalg.lstsq(colours[:half], labels[:half] * 2.0 - 1, rcond=None)[0]
    accuracy = ((colours[half:] @ weights > 0) == (labels[half:] == 1)).mean()
    assert accuracy < 0.75


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_small_network_learns_the_shapes():
    torch.manual_seed(0)
    faces, labels = pixels(synthetic(), 1500)
    x = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 127.5 - 1
    y = torch.from_numpy(labels)
    layers = [(3, 12), (12, 24), (24, 48)]
    blocks = [
        layer
        for i, o in layers
        for layer in (nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU(), nn.MaxPool2d(2))
    ]
    model = nn.Sequential(*blocks, nn.Flatten(), nn.Linear(48 * 16, 2))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for start in [*range(0, 1200, 50)] * 2:
        batch = slice(start, start + 50)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(x[1200:]).argmax(1) == y[1200:]).float().mean().item()
    assert accuracy > 0.85
