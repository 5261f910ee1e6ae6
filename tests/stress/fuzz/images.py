"""Image files of every format and mode."""

import io
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from lossbench.benchmarks.data import decode
from lossbench.benchmarks.data.sources import UnusableError

from .target import Target

SIZE = 32
# So that a header that states a large image does not make the fuzzing wait for it: what is past
# the bound is refused before it is decoded, and what is below is decoded, at any bound.
MOST_PIXELS = 2**16


def _encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _files() -> Iterator[bytes]:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (9, 11, 3), np.uint8))
    deep = Image.fromarray(random.integers(0, 2**16, (9, 11), np.uint16))
    turned = Image.Exif()
    turned[0x0112] = 6
    clear = {"transparency": 0}
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        yield _encoded(noise, kind)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield _encoded(noise, kind, exif=turned)
    for kind in ("PNG", "TIFF"):
        yield _encoded(deep, kind)
    for mode, kind in (("RGBA", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("RGBA", "WEBP")):
        yield _encoded(noise.convert(mode), kind)
    for mode, kind in (("CMYK", "JPEG"), ("CMYK", "TIFF"), ("L", "JPEG"), ("L", "BMP")):
        yield _encoded(noise.convert(mode), kind)
    yield _encoded(noise.convert("P"), "PNG", **clear)
    yield _encoded(noise.convert("P"), "GIF", save_all=True, append_images=[noise], **clear)
    yield _encoded(noise, "PNG", save_all=True, append_images=[noise.rotate(90)])
    yield _encoded(noise, "JPEG", progressive=True)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield _encoded(noise, "TIFF", compression=compression)
    yield _encoded(Image.fromarray(random.random((9, 11), np.float32)), "TIFF")


def read(data: bytes, _: Path) -> None:
    """Decodes a file as the image cache does."""
    with mock.patch.object(decode, "MAX_PIXELS", MOST_PIXELS):
        pixels = decode.decode_square(data, SIZE)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8


TOKENS = (b"\xff\xd8", b"\xff\xe1", b"\xff\xc0", b"\xff\xda", b"IHDR", b"IDAT", b"tRNS", b"acTL")
IMAGES = Target(lambda: list(_files()), read, (UnusableError,), TOKENS)
