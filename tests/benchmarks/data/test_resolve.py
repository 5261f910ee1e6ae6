"""What --data may say, what it leads to, and what happens where there are no images."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lossbench.benchmarks.data import SOURCES, ImageSet, open_images
from lossbench.benchmarks.data import resolve as opening
from lossbench.benchmarks.data.sources import UnavailableError
from lossbench.benchmarks.data.synthetic import synthetic
from lossbench.benchmarks.errors import UserError

SPLIT = ("train/cat/{}.jpg", "train/dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")


@pytest.fixture
def offline(monkeypatch):
    """No source can be downloaded, and synthetic ones are few. Holds the sizes drawn for."""
    sizes = []

    def few(size):
        sizes.append(size)
        return synthetic(size, train=8, test=4)

    def unavailable(_):
        raise UnavailableError("the download failed: no network")

    monkeypatch.setattr(opening, "cifar10", unavailable)
    monkeypatch.setattr(opening, "cifar10_ten", unavailable)
    monkeypatch.setattr(opening, "oxford_pets", unavailable)
    monkeypatch.setattr(opening, "oxford_breeds", unavailable)
    monkeypatch.setattr(opening, "synthetic", few)
    return sizes


def test_a_path_has_the_size_of_photographs(pack, pets):
    path = str(pack(pets(*SPLIT, count=2), "zip"))
    images = open_images(path, None, say=str)
    assert isinstance(images, ImageSet)
    assert (images.name, images.image_size, images.synthetic) == ("pets", 64, False)
    assert open_images(path, 40, say=str).train.images.shape == (4, 40, 40, 3)


def test_without_a_name_cifar10_is_meant(pack, pets, tmp_path, monkeypatch):
    pack(pets(*SPLIT, count=2), "zip", "cifar10-catdog")
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    images = open_images(None, None, say=str)
    assert (images.name, images.image_size) == ("cifar10", 32)


def test_each_name_leads_to_its_source(monkeypatch):
    def fake(name):
        return lambda _: replace(synthetic(32, train=4, test=2), name=name)

    for name in SOURCES:
        if name != "synthetic":
            monkeypatch.setattr(opening, name.replace("-", "_"), fake(name))
            assert open_images(name, None, say=str).name == name


def test_without_a_name_and_images_synthetic_ones_serve(offline):
    said = []
    images = open_images(None, None, say=said.append)
    assert images.synthetic
    assert images.name == "synthetic"
    assert images.train.images.shape == (8, 32, 32, 3)
    assert len(said) == 2  # the paragraph, and that they are being drawn
    assert "\n" not in said[0]
    for part in ("no network", "network and start again", "LOSSBENCH_DATA", "--data PATH"):
        assert part in said[0]
    assert "SYNTHETIC" in said[0]
    assert said[1].startswith("drawing 12 images")
    assert open_images(None, 48, say=str).train.images.shape == (8, 48, 48, 3)
    assert offline == [32, 48]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", ["cifar10", "cifar10-ten", "oxford-pets", "oxford-breeds"])
def test_a_name_has_no_fallback(name, home):
    with pytest.raises(
        UserError, match=f"^{name} is unavailable .*no network.*LOSSBENCH_DATA"
    ) as e:
        open_images(name, None, say=pytest.fail)
    assert "\n" not in str(e.value)
    assert not home.exists()


def test_a_mistaken_directory_is_told_rather_than_replaced(monkeypatch, tmp_path):
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "typo"))
    with pytest.raises(UserError, match="LOSSBENCH_DATA"):
        open_images(None, None, say=pytest.fail)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("cifar-10", "did you mean 'cifar10'"),
        ("oxfordpets", "did you mean 'oxford-pets'"),
        ("cifar10-tne", "did you mean 'cifar10-ten'"),
        ("", "choose from cifar10, cifar10-ten, oxford-breeds, oxford-pets, synthetic"),
        ("no/such/folder", "no such file or directory: 'no/such/folder'"),
        ("pets.tar.gz", "no such file or directory: 'pets.tar.gz'"),
    ],
)
def test_an_unknown_name_is_an_error_that_helps(data, message):
    with pytest.raises(UserError, match=message):
        open_images(data, None, say=pytest.fail)


def test_synthetic_by_name(monkeypatch):
    monkeypatch.setattr(opening, "synthetic", lambda size: synthetic(size, train=8, test=4))
    steps = []
    images = open_images("synthetic", None, say=str, progress=lambda *step: steps.append(step))
    assert images.synthetic
    assert steps == sorted(steps)
    assert steps[-1] == (12, 12)


@pytest.mark.parametrize("size", [-1, 0, 31, 225, 10**9])
def test_sizes_have_bounds(size):
    with pytest.raises(UserError, match=f"image size {size} .* 32 to 224"):
        open_images("synthetic", size, say=pytest.fail)


def test_the_home_directory_may_be_written_as_a_tilde(pack, pets, tmp_path, monkeypatch):
    pack(pets(*SPLIT, count=2))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_images("~/pets", 32, say=str).name == "pets"


def test_the_package_is_light_to_import():
    code = "import sys, benchmarks.data; print('torch' in sys.modules)"
    root = Path(__file__).parents[3]
    run = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert run.stdout == "False\n", run.stderr
    assert SOURCES == ("cifar10", "cifar10-ten", "oxford-breeds", "oxford-pets", "synthetic")
