"""Drawn faces are reproducible, half cats, and differ by shape, not color."""

import numpy as np
import pytest
import torch
from torch import nn

from lossbench.benchmarks.data.synthetic import DRAWING, synthetic

GRAY = bytes.fromhex(
    "6b758378667c6f858c7f7c9b8a8c97a27b8885906e8481838172628589867d8d"
    "8a777f905b554f8960667584828582835f5c4e4b6366464d64362a5466644c5f"
    "7f767d7a866f6b728a5056528e766b74696f777374b49c807fa1a1928f969c9f"
    "a5b4aca58cb3aba3b99e8b7eb8a6a99a988b88829b75607ba0695c7ba096868e"
    "83705e4d7f434053632f284c8f72615a8089998d7d999b8ca7959e89887f8182"
    "88a0a29f9d909092a7979a87adabb0a988ad8f7d8d928a77b7847c756d6c6f64"
    "9d9c9a96988f96928f80828a8e958587a7b0a17e8fbdbe9e93afb79a9d959e99"
    "a19f9d9ba0add4a29fc0c7aa9e9eaf9a6c827a7692a6a5848bb9ab818f8e949d"
)
"""Gray levels of the first 16 training faces in 4 by 4 blocks of 8 by 8 pixels."""


def training_faces(count):
    """Return the first training images and their labels, both classes in turn."""
    source = synthetic(train=count, test=2)
    images = sorted((i for i in source.images() if i.split == "train"), key=lambda i: i.key)
    return np.stack([face for _, face in source.load(images)]), np.array(
        [image.label for image in images]
    )


@pytest.mark.parametrize("size", [32, 64, 224])
def test_faces_are_reproducible_and_all_different(size):
    first, again = synthetic(size, train=4, test=2), synthetic(size, train=4, test=2)
    faces = [face for _, face in first.load(first.images())]
    assert all(face.shape == (size, size, 3) and face.dtype == np.uint8 for face in faces)
    assert len({face.tobytes() for face in faces}) == 6
    for face, (_, drawn_again) in zip(faces, again.load(again.images()), strict=True):
        np.testing.assert_array_equal(face, drawn_again)


def test_faces_are_those_of_this_drawing_number():
    """Whoever changes the drawings has to count DRAWING up, or old ones stay in the caches."""
    assert DRAWING == 1
    faces, _ = training_faces(16)
    blocks = faces.reshape(16, 4, 8, 4, 8, 3).mean((2, 4, 5))
    np.testing.assert_allclose(blocks.flatten(), list(GRAY), atol=1)


def test_both_splits_are_half_cats():
    source = synthetic()
    assert (source.name, source.synthetic, source.image_size) == ("synthetic", True, 32)
    assert "SYNTHETIC" in source.description
    for split, count in (("train", 2000), ("test", 500)):
        images = [image for image in source.images() if image.split == split]
        assert (len(images), sum(image.label for image in images)) == (count, count // 2)
        assert all(("cat" in image.name) == image.label for image in images)


def test_color_alone_does_not_tell_the_classes_apart():
    faces, labels = training_faces(300)
    colors = np.c_[faces.mean((1, 2)), faces.std((1, 2)), np.ones(300)]
    half = 150
    weights = np.linalg.lstsq(colors[:half], labels[:half] * 2.0 - 1, rcond=None)[0]
    assert ((colors[half:] @ weights > 0) == (labels[half:] == 1)).mean() < 0.75


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_a_small_network_learns_the_shapes():
    torch.manual_seed(0)
    faces, labels = training_faces(1500)
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
