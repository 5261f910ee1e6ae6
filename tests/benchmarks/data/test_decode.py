"""Every kind of image file becomes the same upright square RGB image."""

import contextlib
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lossbench.benchmarks.data import decode
from lossbench.benchmarks.data.decode import decode_square
from lossbench.benchmarks.data.sources import UnusableError

RED, BLUE = (250, 10, 10), (10, 10, 250)
LEFT, RIGHT = (200,) * 3, (40,) * 3


def halves(left=RED, right=BLUE, size=(64, 64)):
    """Make an image with a left half of one color and a right half of another."""
    image = Image.new("RGB", size, right)
    image.paste(left, (0, 0, size[0] // 2, size[1]))
    return image


def assert_halves(pixels, left=RED, right=BLUE, atol=12):
    middle = pixels.shape[0] // 2
    np.testing.assert_allclose(pixels[:, : middle - 3].mean((0, 1)), left, atol=atol)
    np.testing.assert_allclose(pixels[:, middle + 3 :].mean((0, 1)), right, atol=atol)


@pytest.mark.parametrize(
    ("mode", "kinds"),
    [
        ("RGB", ("PNG", "JPEG", "WEBP", "BMP", "TIFF")),
        ("CMYK", ("JPEG", "TIFF")),
        ("P", ("PNG", "GIF")),
        ("RGBA", ("PNG",)),
        ("YCbCr", ("TIFF",)),
    ],
)
def test_colors_of_every_mode(encoded, mode, kinds):
    for kind in kinds:
        data = encoded(halves().convert(mode), kind)
        assert_halves(decode_square(data, 32), atol=30 if mode in ("CMYK", "YCbCr", "P") else 12)


def test_gray_and_black_and_white(encoded):
    gray = halves(LEFT, RIGHT)
    assert_halves(decode_square(encoded(gray.convert("L")), 32), LEFT, RIGHT)
    assert_halves(decode_square(encoded(gray.convert("1", dither=0)), 32), (255,) * 3, (0,) * 3)


@pytest.mark.parametrize(
    ("kind", "scale", "dtype"),
    [("PNG", 257, np.uint16), ("TIFF", 257, np.uint16), ("TIFF", 1 / 255, np.float32)],
)
def test_16_bits_and_floats_are_scaled_not_clipped(encoded, kind, scale, dtype):
    values = np.full((64, 64), 40 * scale, dtype)
    values[:, :32] = 200 * scale
    assert_halves(decode_square(encoded(Image.fromarray(values), kind), 32), LEFT, RIGHT, 2)


def test_transparency_becomes_white(encoded):
    image = halves().convert("RGBA")
    image.putalpha(
        Image.fromarray(np.where(np.arange(64) < 32, 255, 0)[None].repeat(64, 0).astype(np.uint8))
    )
    for kind in ("PNG", "WEBP"):
        assert_halves(decode_square(encoded(image, kind), 32), RED, (255,) * 3)
    palette = halves().quantize(2)
    data = encoded(palette, transparency=palette.getpixel((60, 5)))
    assert_halves(decode_square(data, 32), RED, (255,) * 3)


def test_an_animation_gives_its_first_frame(encoded):
    data = encoded(halves(), "GIF", save_all=True, append_images=[halves(BLUE, RED)])
    assert_halves(decode_square(data, 32))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(encoded, orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's transpositions that the tag undoes
    image = halves(size=(96, 96))
    if orientation in undo:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_halves(decode_square(encoded(image, "JPEG", exif=exif, quality=95), 32))


@pytest.mark.filterwarnings("ignore:Metadata Warning")
def test_other_damaged_exif_tags_do_not_matter(encoded):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = (72, 1)
    tags = exif.tobytes().replace(b"\x01\x1a\x00\x05", b"\x01\x08\x00\x05")
    image = halves().transpose(Image.Transpose.ROTATE_90)
    assert_halves(decode_square(encoded(image, "JPEG", exif=tags), 32))
    assert_halves(decode_square(encoded(halves(), "JPEG", exif=b"Exif\0\0no tags"), 32))


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([32, 33, 64]))
@settings(max_examples=30, deadline=None)
def test_any_shape_becomes_a_square(encoded, width, height, size):
    pixels = decode_square(encoded(Image.new("RGB", (width, height), RED)), size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels, np.broadcast_to(RED, pixels.shape), atol=1)


def test_the_center_is_kept(encoded):
    image = Image.new("RGB", (300, 100), BLUE)
    image.paste(RED, (105, 0, 195, 100))
    np.testing.assert_allclose(decode_square(encoded(image), 50)[:, 5:45].mean((0, 1)), RED, atol=3)


def test_pixels_of_the_wanted_size_are_unchanged(encoded):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(decode_square(pixels, 32), pixels)
    np.testing.assert_array_equal(decode_square(encoded(Image.fromarray(pixels)), 32), pixels)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_shrinking_is_antialiased(encoded, kind):
    board = (np.indices((1024, 1024)).sum(0) % 2 * 255).astype(np.uint8)
    pixels = decode_square(encoded(Image.fromarray(board).convert("RGB"), kind), 32)
    np.testing.assert_allclose(pixels, 127.5, atol=6)


def test_the_jpeg_decoder_does_not_shrink_too_far(encoded):
    blocks = np.random.default_rng(0).integers(0, 256, (32, 32, 1), np.uint8)
    image = Image.fromarray(np.broadcast_to(blocks, (32, 32, 3)).repeat(8, 0).repeat(8, 1))
    lossy, exact = (
        decode_square(encoded(image, "JPEG", quality=95), 32),
        decode_square(encoded(image), 32),
    )
    assert np.abs(lossy.astype(float) - exact).mean() < 6


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"just text, whatever the name says", "not an image"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), "HEIC; convert to JPEG"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heix" + bytes(99), "HEIC; convert to JPEG"),
        (b"\0\0\0\x14ftypisom\0\0\0\0mp41" + bytes(99), "not an image"),
        (None, "damaged image"),
    ],
)
def test_unusable_files_state_a_reason(jpeg, data, reason):
    photo = jpeg(1, (300, 300))
    with pytest.raises(UnusableError, match=f"^{reason}"):
        decode_square(photo[: len(photo) // 2] if data is None else data, 32)


def test_the_limit_of_pixels(jpeg, monkeypatch):
    photo = jpeg(1, (300, 300))
    monkeypatch.setattr(decode, "MAX_PIXELS", 300 * 300)
    assert decode_square(photo, 32).shape == (32, 32, 3)
    monkeypatch.setattr(decode, "MAX_PIXELS", 300 * 300 - 1)
    with pytest.raises(UnusableError, match="megapixels"):
        decode_square(photo, 32)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnusableError, match="decompression bomb"):
        decode_square(photo, 32)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_a_bomb_is_refused_before_it_is_decoded(encoded, kind, monkeypatch):
    data = encoded(Image.new("RGB", (8, 8)), kind)
    original = Image.open

    def claim(*args, **options):
        image = original(*args, **options)
        image._size = (11_000, 11_000)
        image.load = lambda: pytest.fail("it was decoded")
        return image

    monkeypatch.setattr(Image, "open", claim)
    with pytest.raises(UnusableError, match="larger than 100 megapixels"):
        decode_square(data, 32)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_real_bomb_is_refused(encoded):
    data = encoded(Image.new("1", (12_000, 12_000)))
    assert len(data) < 30_000
    with pytest.raises(UnusableError, match="larger than 100 megapixels"):
        decode_square(data, 32)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_damage_raises_only_unusable_error(encoded, data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]))
    content = bytearray(encoded(halves(size=(24, 24)), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(UnusableError):
            assert decode_square(bytes(content), 16).shape == (16, 16, 3)
