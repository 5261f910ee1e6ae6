"""Decode an image file into a small square RGB array, deterministically."""

import io
import re
from functools import cache

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from .sources import UnusableError

# Formats of photographs. PIL has others, and EPS starts Ghostscript: a file must not choose that.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "AVIF")
MAX_PIXELS = 100_000_000

ORIENTATIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that undoes each EXIF orientation."""


def decode_square(data: bytes | np.ndarray, size: int) -> np.ndarray:
    """Decode, resize and center-crop an image to uint8 (size, size, 3).

    EXIF orientation is applied. Transparency becomes white, and an animation gives its first frame.
    The shorter side is resized to `size` with antialiasing.

    Args:
        data: the bytes of an image file, or pixels as uint8 (H, W, 3).
        size: height and width of the result in pixels.

    Raises:
        UnusableError: the bytes are not an image, damaged, or more than 100 megapixels.
    """
    try:
        if isinstance(data, np.ndarray):
            image = Image.fromarray(data)
        else:
            file = Image.open(io.BytesIO(data), formats=_formats())
            if file.width * file.height > MAX_PIXELS:
                raise UnusableError(f"larger than {MAX_PIXELS // 10**6} megapixels")
            # The JPEG decoder may shrink large photographs, never below twice the wanted size.
            file.draft(None, (2 * size, 2 * size))
            file.load()
            turn = ORIENTATIONS.get(_orientation(file))
            image = _rgb(file if turn is None else file.transpose(turn))
        return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))
    except UnusableError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableError(_describe_unknown(data)) from error
    # Damaged bytes make PIL's decoders raise nearly anything, from struct.error to MemoryError.
    except Exception as error:
        raise UnusableError(f"damaged image: {error or type(error).__name__}") from error


def _orientation(file: Image.Image) -> int:
    """Return the EXIF orientation, 1 if there is none or the tags cannot be read."""
    # ImageOps.exif_transpose rewrites the other tags and fails if one of them is damaged.
    try:
        found: int = file.getexif().get(ExifTags.Base.Orientation, 1)
    # Damaged tags make PIL raise nearly anything. The pixels may be whole.
    except Exception:
        return 1
    return found


def _describe_unknown(data: bytes | np.ndarray) -> str:
    """Return why bytes are not of a format that is read."""
    if not len(data):
        return "empty file"
    # The brands of an ISO base media file; those of other video formats are not images.
    if bytes(data[4:8]) == b"ftyp" and re.search(b"hei[cxms]|hev[cx]", bytes(data[8:64])):
        return "HEIC; convert to JPEG"
    return "not an image"


@cache
def _formats() -> list[str]:
    """Return the formats of `FORMATS` that this Pillow supports."""
    Image.init()
    return [name for name in FORMATS if name in Image.OPEN]


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return Image.fromarray(_to_uint8(np.asarray(image))).convert("RGB")
    if image.mode.endswith(("A", "a")) or "transparency" in image.info:
        layer = image.convert("RGBA")
        white = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(white, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")  # which would copy it


def _to_uint8(values: np.ndarray) -> np.ndarray:
    # PIL's own conversion clips at 255, which makes a 16-bit photograph white.
    if values.dtype.kind == "f":
        scale = 255.0 if np.nanmax(values) <= 1 else 1.0
    else:
        scale = 255 / 65535 if values.itemsize == 2 or values.max() > 255 else 1.0
    return np.clip(np.nan_to_num(values * scale), 0, 255).round().astype(np.uint8)
