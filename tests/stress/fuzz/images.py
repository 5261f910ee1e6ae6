"""Fuzz image files of every format and mode."""

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
# A low limit, so that a header that states a large image does not slow down the fuzzing.
MAX_PIXELS = 2**16


def _encode(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _files() -> Iterator[bytes]:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 256, (9, 11, 3), np.uint8))
    deep = Image.fromarray(random.integers(0, 2**16, (9, 11), np.uint16))
    rotated = Image.Exif()
    rotated[0x0112] = 6
    clear = {"transparency": 0}
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM"):
        yield _encode(noise, kind)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield _encode(noise, kind, exif=rotated)
    for kind in ("PNG", "TIFF"):
        yield _encode(deep, kind)
    for mode, kind in (("RGBA", "PNG"), ("LA", "PNG"), ("1", "PNG"), ("RGBA", "WEBP")):
        yield _encode(noise.convert(mode), kind)
    for mode, kind in (("CMYK", "JPEG"), ("CMYK", "TIFF"), ("L", "JPEG"), ("L", "BMP")):
        yield _encode(noise.convert(mode), kind)
    yield _encode(noise.convert("P"), "PNG", **clear)
    yield _encode(noise.convert("P"), "GIF", save_all=True, append_images=[noise], **clear)
    yield _encode(noise, "PNG", save_all=True, append_images=[noise.rotate(90)])
    yield _encode(noise, "JPEG", progressive=True)
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits"):
        yield _encode(noise, "TIFF", compression=compression)
    yield _encode(Image.fromarray(random.random((9, 11), np.float32)), "TIFF")


def read(data: bytes, _: Path) -> None:
    """Decode a file as the image cache does."""
    with mock.patch.object(decode, "MAX_PIXELS", MAX_PIXELS):
        pixels = decode.decode_square(data, SIZE)
    assert pixels.shape == (SIZE, SIZE, 3)
    assert pixels.dtype == np.uint8


TOKENS = (b"\xff\xd8", b"\xff\xe1", b"\xff\xc0", b"\xff\xda", b"IHDR", b"IDAT", b"tRNS", b"acTL")
IMAGES = Target(lambda: list(_files()), read, (UnusableError,), TOKENS)
