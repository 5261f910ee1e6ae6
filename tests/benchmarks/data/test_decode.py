"""Every kind of image file becomes the same upright square RGB image."""

import contextlib
import io
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lossbench.benchmarks.data.decode import decode_square
from lossbench.benchmarks.data.sources import UnusableError


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def halves(first, second, size=(64, 64)):
    """An image whose left half has one colour and whose right half has another."""
    image = Image.new("RGB", size, second)
    image.paste(first, (0, 0, size[0] // 2, size[1]))
    return image


RED, BLUE = (250, 10, 10), (10, 10, 250)


def assert_halves(pixels, first=RED, second=BLUE, close=12):
    middle = pixels.shape[0] // 2
    np.testing.assert_allclose(pixels[:, : middle - 3].mean((0, 1)), first, atol=close)
    np.testing.assert_allclose(pixels[:, middle + 3 :].mean((0, 1)), second, atol=close)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *(("RGB", kind) for kind in ("PNG", "JPEG", "WEBP", "BMP", "TIFF")),
        *(("CMYK", kind) for kind in ("JPEG", "TIFF")),
        *(("P", kind) for kind in ("PNG", "GIF")),
        ("RGBA", "PNG"),
        ("YCbCr", "TIFF"),
    ],
)
def test_colours_of_every_mode(mode, kind):
    data = encoded(halves(RED, BLUE).convert(mode), kind)
    assert_halves(decode_square(data, 32), close=30 if mode in ("CMYK", "YCbCr", "P") else 12)


def test_grey_and_black_and_white():
    grey = halves((200,) * 3, (40,) * 3)
    assert_halves(decode_square(encoded(grey.convert("L")), 32), (200,) * 3, (40,) * 3)
    assert_halves(decode_square(encoded(grey.convert("1", dither=0)), 32), (255,) * 3, (0,) * 3)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    values = np.full((64, 64), 20 * 257, np.uint16)
    values[:, :32] = 180 * 257
    assert_halves(
        decode_square(encoded(Image.fromarray(values), kind), 32), (180,) * 3, (20,) * 3, 2
    )


def test_floating_point_values_of_0_to_1():
    values = np.full((64, 64), 0.1, np.float32)
    values[:, :32] = 0.8
    data = encoded(Image.fromarray(values), "TIFF")
    assert_halves(decode_square(data, 32), (204,) * 3, (25,) * 3, 2)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_lies_on_white(mode):
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 32, 64))
    assert_halves(decode_square(encoded(image.convert(mode)), 32), (0,) * 3, (255,) * 3)


def test_a_palette_with_transparency_lies_on_white():
    image = halves(RED, BLUE).quantize(2)
    data = encoded(image, transparency=image.getpixel((60, 5)))
    assert_halves(decode_square(data, 32), RED, (255,) * 3)


def test_the_first_frame_of_an_animation():
    frames = [halves(RED, BLUE), halves(BLUE, RED)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert_halves(decode_square(data, 32))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation):
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's transpositions that the tag undoes
    image = halves(RED, BLUE, (96, 96))
    if orientation in undo:
        image = image.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert_halves(decode_square(encoded(image, "JPEG", exif=exif, quality=95), 32))


@pytest.mark.filterwarnings("ignore:Metadata Warning")
def test_damage_elsewhere_in_exif_does_not_matter():
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = (72, 1)
    tags = exif.tobytes().replace(b"\x01\x1a\x00\x05", b"\x01\x08\x00\x05")
    image = halves(RED, BLUE).transpose(Image.Transpose.ROTATE_90)
    assert_halves(decode_square(encoded(image, "JPEG", exif=tags), 32))
    assert_halves(decode_square(encoded(halves(RED, BLUE), "JPEG", exif=b"Exif\0\0no tags"), 32))


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([32, 33, 64]))
@settings(max_examples=40, deadline=None)
def test_any_shape_becomes_a_square(width, height, size):
    pixels = decode_square(encoded(Image.new("RGB", (width, height), RED)), size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_allclose(pixels, np.broadcast_to(RED, pixels.shape), atol=1)


def test_the_centre_is_kept_and_the_sides_cut():
    image = Image.new("RGB", (300, 100), BLUE)
    image.paste(RED, (105, 0, 195, 100))
    np.testing.assert_allclose(decode_square(encoded(image), 50)[:, 5:45].mean((0, 1)), RED, atol=3)


def test_pixels_of_the_size_wanted_stay_as_they_are(jpeg):
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    np.testing.assert_array_equal(decode_square(pixels, 32), pixels)
    np.testing.assert_array_equal(decode_square(encoded(Image.fromarray(pixels)), 32), pixels)
    assert (decode_square(jpeg(3), 32) == decode_square(jpeg(3), 32)).all()


def test_shrinking_is_antialiased_also_of_large_jpegs():
    board = (np.indices((1024, 1024)).sum(0) % 2 * 255).astype(np.uint8)
    for kind in ("PNG", "JPEG"):
        pixels = decode_square(encoded(Image.fromarray(board).convert("RGB"), kind), 32)
        np.testing.assert_allclose(pixels, 127.5, atol=6)


def test_the_decoder_does_not_shrink_a_jpeg_too_far():
    blocks = np.random.default_rng(0).integers(0, 256, (32, 32, 1), np.uint8)
    image = Image.fromarray(np.broadcast_to(blocks, (32, 32, 3)).repeat(8, 0).repeat(8, 1))
    difference = decode_square(encoded(image, "JPEG", quality=95), 32).astype(
        float
    ) - decode_square(encoded(image), 32)
    assert np.abs(difference).mean() < 6


def test_unusable_files_say_why(jpeg, monkeypatch):
    photo = jpeg(1, (300, 300))
    cases = {
        b"": "empty file",
        b"just text, whatever the name says": "not an image",
        photo[: len(photo) // 2]: "damaged image",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n": "not an image",
    }
    for data, reason in cases.items():
        with pytest.raises(UnusableError, match=reason):
            decode_square(data, 32)
    with monkeypatch.context() as patch:
        patch.setattr("lossbench.benchmarks.data.decode.MAX_PIXELS", 300 * 299)
        with pytest.raises(UnusableError, match="megapixels"):
            decode_square(photo, 32)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UnusableError, match="decompression bomb"):
        decode_square(photo, 32)


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP", "WEBP"])
def test_a_bomb_is_refused_before_it_is_decoded(kind, monkeypatch):
    """A few kilobytes that state 121 megapixels."""
    data = encoded(Image.new("L" if kind != "WEBP" else "RGB", (8, 8)), kind)
    opened = Image.open

    def claiming(*args, **options):
        image = opened(*args, **options)
        image._size = (11_000, 11_000)
        image.load = lambda: pytest.fail("it was decoded")
        return image

    monkeypatch.setattr(Image, "open", claiming)
    with pytest.raises(UnusableError, match="larger than 100 megapixels"):
        decode_square(data, 32)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_real_bomb_is_refused():
    data = encoded(Image.new("1", (12_000, 12_000)))
    assert len(data) < 30_000
    with pytest.raises(UnusableError, match="larger than 100 megapixels"):
        decode_square(data, 32)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damage_is_never_anything_but_unusable(data):
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"]))
    content = bytearray(encoded(halves(RED, BLUE, (24, 24)), kind))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(UnusableError):
            assert decode_square(bytes(content), 16).shape == (16, 16, 3)
