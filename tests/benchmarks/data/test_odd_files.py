"""A folder as people have them: what can be decoded is, and each of the others is named with its
reason."""

import io

import numpy as np
import pytest
from PIL import Image

from lossbench.benchmarks.data.cache import open_cached
from lossbench.benchmarks.data.folder import path_source

PIXELS = np.full((48, 64, 3), (200, 40, 40), np.uint8)
PHOTO = Image.fromarray(PIXELS)
TURNED = Image.Exif()
TURNED[0x0112] = 6


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


USABLE = {
    "png called.jpg": encoded(PHOTO, "PNG"),
    "jpeg called.png": encoded(PHOTO, "JPEG"),
    "no suffix": encoded(PHOTO, "WEBP"),
    "cmyk.jpg": encoded(PHOTO.convert("CMYK"), "JPEG"),
    "palette.png": encoded(PHOTO.convert("P"), "PNG"),
    "animated.gif": encoded(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)]),
    "turned.jpg": encoded(PHOTO, "JPEG", exif=TURNED),
    "sixteen bits.png": encoded(Image.fromarray(np.full((48, 64), 40_000, np.uint16)), "PNG"),
}
UNUSABLE = {
    "zero bytes.jpg": (b"", "empty file"),
    "text.jpg": (b"no photograph", "not an image"),
    "page.svg": (b"<svg onload='alert(1)'/>", "not an image"),
    "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
    "truncated.png": (encoded(PHOTO, "PNG")[:90], "damaged image"),
    "bomb.png": (encoded(Image.new("1", (12_000, 12_000)), "PNG"), "larger than 100 megapixels"),
}


@pytest.mark.parametrize("kind", ["directory", "zip", "tar.gz"])
def test_each_odd_file_is_decoded_or_named(pack, pets, kind):
    files = pets("train/cat/{}.jpg", "train/dog/{}.jpg", "test/cat/{}.jpg", "test/dog/{}.jpg")
    odd = USABLE | {name: content for name, (content, _) in UNUSABLE.items()}
    files |= {f"train/cat/{name}": content for name, content in odd.items()}
    images = open_cached(path_source(pack(files, kind)), 32, say=str)
    found = dict(zip(images.train.names, images.train.images, strict=True))
    for name in USABLE:
        colour = found[f"train/cat/{name}"].mean((0, 1))
        expected = (40_000 / 257,) * 3 if name.startswith("sixteen") else (200, 40, 40)
        np.testing.assert_allclose(colour, expected, atol=30, err_msg=name)
    skipped = {line.partition(" (")[0]: line.partition(" (")[2] for line in images.skipped}
    assert skipped.keys() == {f"train/cat/{name}" for name in UNUSABLE}
    for name, (_, reason) in UNUSABLE.items():
        assert skipped[f"train/cat/{name}"].startswith(reason), name
