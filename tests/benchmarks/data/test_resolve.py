"""Values of --data, and what happens if the images are unavailable."""

import subprocess
import sys
from dataclasses import replace

import pytest

from lossbench.benchmarks.data import SOURCES, ImageSet, open_images, resolve
from lossbench.benchmarks.data.sources import UnavailableError
from lossbench.benchmarks.data.synthetic import synthetic

SPLIT = ("train/cat/{}.jpg", "train/dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")
FINDERS = {name: name.replace("-", "_") for name in SOURCES if name != "synthetic"}


@pytest.fixture
def few(monkeypatch):
    """Draw few synthetic images; record the sizes they are drawn for."""
    sizes = []

    def draw(size):
        sizes.append(size)
        return synthetic(size, train=8, test=4)

    monkeypatch.setattr(resolve, "synthetic", draw)
    return sizes


@pytest.fixture
def offline(monkeypatch):
    """Make every download fail."""

    def unavailable(_):
        raise UnavailableError("the download failed: no network")

    for finder in FINDERS.values():
        monkeypatch.setattr(resolve, finder, unavailable)


def test_images_of_a_path_have_64_pixels(pack, pets):
    path = str(pack(pets(*SPLIT, count=2), "zip"))
    images = open_images(path, None, say=str)
    assert isinstance(images, ImageSet)
    assert (images.name, images.image_size, images.synthetic) == ("pets", 64, False)
    assert open_images(path, 40, say=str).train.images.shape == (4, 40, 40, 3)


def test_cifar10_is_the_default(pack, pets, tmp_path, monkeypatch):
    pack(pets(*SPLIT, count=2), "zip", "cifar10-catdog")
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path))
    images = open_images(None, None, say=str)
    assert (images.name, images.image_size) == ("cifar10", 32)


@pytest.mark.parametrize(("name", "finder"), FINDERS.items())
def test_each_name_has_its_source(monkeypatch, name, finder):
    made = replace(synthetic(32, train=4, test=2), name=name)
    monkeypatch.setattr(resolve, finder, lambda _: made)
    assert open_images(name, None, say=str).name == name


@pytest.mark.usefixtures("offline")
def test_synthetic_images_replace_the_default(few):
    messages = []
    images = open_images(None, None, say=messages.append)
    assert (images.name, images.synthetic) == ("synthetic", True)
    assert images.train.images.shape == (8, 32, 32, 3)
    paragraph, drawing = messages
    assert "\n" not in paragraph
    for part in ("no network", "LOSSBENCH_DATA", "--data PATH", "SYNTHETIC"):
        assert part in paragraph
    assert drawing.startswith("drawing 12 images")
    assert open_images(None, 48, say=str).train.images.shape == (8, 48, 48, 3)
    assert few == [32, 48]


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize("name", FINDERS)
def test_nothing_replaces_images_that_were_named(name, home, refusal):
    text = refusal(lambda: open_images(name, None, say=pytest.fail), "no network", "LOSSBENCH_DATA")
    assert text.startswith(f"{name} is unavailable ")
    assert not home.exists()


def test_a_wrong_data_directory_is_an_error(monkeypatch, tmp_path, refusal):
    monkeypatch.setenv("LOSSBENCH_DATA", str(tmp_path / "typo"))
    refusal(lambda: open_images(None, None, say=pytest.fail), "LOSSBENCH_DATA")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("cifar-10", "did you mean 'cifar10'"),
        ("oxfordpets", "did you mean 'oxford-pets'"),
        ("cifar10-tne", "did you mean 'cifar10-ten'"),
        ("", "choose from cifar10, cifar10-ten, oxford-breeds, oxford-pets, synthetic"),
        ("no/such/folder", "no such file or directory: 'no/such/folder'"),
        ("pets.tar.gz", "no such file or directory: 'pets.tar.gz'"),
        ("x" * 5000, "use another path"),
    ],
)
def test_an_unknown_name_is_an_error(data, message, refusal):
    refusal(lambda: open_images(data, None, say=pytest.fail), message)


def test_synthetic_images_by_name(few):
    steps = []
    images = open_images("synthetic", 40, say=str, progress=lambda *step: steps.append(step))
    assert images.synthetic
    assert few == [40]
    assert steps == sorted(steps)
    assert steps[-1] == (12, 12)


@pytest.mark.parametrize("size", [-1, 0, 31, 225, 10**9])
def test_an_image_size_out_of_range_is_an_error(size, refusal):
    words = (f"image size {size}", "32 to 224")
    refusal(lambda: open_images("synthetic", size, say=pytest.fail), *words)


def test_a_tilde_is_the_home_directory(pack, pets, tmp_path, monkeypatch):
    pack(pets(*SPLIT))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_images("~/pets", 32, say=str).name == "pets"


def test_importing_the_room_does_not_import_torch():
    code = "import sys, lossbench.benchmarks.data; print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout == "False\n", run.stderr
