"""Files made to do harm: none reaches another file, fills memory, or passes as something else."""

import io
import stat
import tracemalloc
import unicodedata
import zipfile
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from lossbench.benchmarks.data import decode, open_images
from lossbench.benchmarks.data.decode import FORMATS, decode_square
from lossbench.benchmarks.data.folder import path_source
from lossbench.benchmarks.data.parquet import _labels
from lossbench.benchmarks.data.sources import UnusableError
from lossbench.benchmarks.errors import UserError

NOISE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8))
MEBIBYTES = bytes(range(256)) * 4 * 1024 * 4
EXACT = {"WEBP": {"lossless": True}}


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_refused_by_its_header(encoded, kind, monkeypatch) -> None:
    if kind not in decode._formats():
        pytest.skip(f"this Pillow has no {kind}")
    data = encoded(NOISE, kind)
    assert decode_square(data, 8).shape == (8, 8, 3)
    loaded = []
    real = Image.Image.load
    monkeypatch.setattr(Image.Image, "load", lambda *a, **k: loaded.append(1) or real(*a, **k))
    monkeypatch.setattr(decode, "MAX_PIXELS", 40 * 40 - 1)
    with pytest.raises(UnusableError, match="megapixels"):
        decode_square(data, 8)
    assert not loaded


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_megabytes_of_colour_profile_change_nothing(encoded, kind) -> None:
    if kind not in decode._formats():
        pytest.skip(f"this Pillow has no {kind}")
    # PNG keeps the profile compressed: repeated bytes are small there, and PIL limits what it
    # unpacks to a mebibyte.
    profile = MEBIBYTES[: 2**20 - 1] if kind == "PNG" else MEBIBYTES
    plain, loaded = (
        decode_square(encoded(NOISE, kind, **EXACT.get(kind, {}), **options), 32)
        for options in ({}, {"icc_profile": profile})
    )
    assert np.array_equal(plain, loaded)


@pytest.mark.parametrize("tags", [b"", b"Exif\0\0", b"no tags at all", MEBIBYTES[:60000]])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_tags_that_cannot_be_read_leave_the_pixels(encoded, kind, tags: bytes) -> None:
    plain, damaged = (
        decode_square(encoded(NOISE, kind, **EXACT.get(kind, {}), **options), 32)
        for options in ({}, {"exif": tags})
    )
    assert np.array_equal(plain, damaged)


@pytest.mark.parametrize("international", [False, True])
def test_a_bomb_of_text_is_refused(encoded, international: bool) -> None:
    text = PngImagePlugin.PngInfo()
    add = text.add_itxt if international else text.add_text
    add("comment", "x" * 50_000_000, zip=True)
    data = encoded(NOISE, "PNG", pnginfo=text)
    assert len(data) < 100_000
    with pytest.raises(UnusableError, match="too large"):
        decode_square(data, 8)


def placed(source) -> list[tuple[str, int]]:
    """Return names and labels of a source's images."""
    return sorted((image.name, image.label) for image in source.images())


def test_links_in_a_zip_are_not_followed(jpeg, tmp_path) -> None:
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg(99))
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for number in range(5):
            for name in ("cat", "dog"):
                archive.writestr(f"{name}/{number}.jpg", jpeg(number))
        link = zipfile.ZipInfo("cat/link.jpg")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, str(secret))
    images = open_images(str(tmp_path / "pets.zip"), 32, say=lambda _: None)
    assert images.skipped == (("cat/link.jpg: not an image"),) or "link" in str(images.skipped)
    assert len(images.train.labels) + len(images.test.labels) == 10


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_names_that_differ_by_case_or_unicode_form_are_other_images(pack, jpeg, kind) -> None:
    accent = "cat/\u00e9.jpg"
    twins = ["cat/a.jpg", "cat/A.jpg", accent, unicodedata.normalize("NFD", accent), "CAT/a.jpg"]
    names = [*twins, *(f"dog/{number}.jpg" for number in range(5))]
    path = pack({name: jpeg(number) for number, name in enumerate(names)}, kind)
    assert len({name for name, _ in placed(path_source(path))}) == 10


def test_archives_in_an_archive_are_named_and_stay_closed(pack, pets) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("cat/inner.jpg", b"")
    files = pets("cat/{}.jpg", "dog/{}.jpg") | {"cat/more.zip": inner.getvalue()}
    source = path_source(pack(files, "zip"))
    assert len(placed(source)) == 10
    assert "more.zip" in str(source.composition)


def test_an_image_that_is_an_archive_too_is_an_image(pack, pets, jpeg) -> None:
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("cat/inner.jpg", jpeg(5))
    files = pets("cat/{}.jpg", "dog/{}.jpg")
    both = {"cat/0.jpg": files["cat/0.jpg"] + inner.getvalue()}
    plain, polyglot = (
        open_images(str(pack(files | more, name=name)), 32, say=lambda _: None)
        for name, more in (("plain", {}), ("polyglot", both))
    )
    assert np.array_equal(plain.train.images, polyglot.train.images)
    assert np.array_equal(plain.test.images, polyglot.test.images)


# --- parquet tables


@pytest.fixture
def parquet(tmp_path):
    """Write a table; return its path."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")

    def make(columns, **options):
        pq.write_table(pa.table(columns), tmp_path / "pets.parquet", compression="zstd", **options)
        return tmp_path / "pets.parquet"

    return make


@pytest.mark.parametrize("column", ["image", "label", "other"])
def test_a_table_that_would_fill_the_memory_is_refused(parquet, column, refusal) -> None:
    values = {"image": [b"x"] * 4, "label": ["cat", "dog"] * 2, "other": ["x"] * 4}
    large = bytes(80 * 2**20)
    values[column] = [large if column == "image" else large.decode()] * 4
    path = parquet(values)
    assert path.stat().st_size < 2**20
    refusal(lambda: path_source(path).images(), "would unpack to more than 200 times its size")


def test_a_long_label_of_all_rows_stays_one_text(parquet) -> None:
    rows = 4096
    label = "x" * 2**16
    columns = {"image": [b"x"] * rows, "label": [label] * rows}
    path = parquet(columns, dictionary_pagesize_limit=2**22)
    tracemalloc.start()
    try:
        assert len({id(each) for each in _labels(path)}) == 1
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()


def test_damage_of_a_table_is_an_error_of_one_line(parquet, pets) -> None:
    files = pets("cat/{}.jpg", "dog/{}.jpg")
    labels = [name.partition("/")[0] for name in files]
    whole = parquet({"image": list(files.values()), "label": labels}).read_bytes()
    path = parquet({"image": [b""], "label": [""]})
    rng = np.random.default_rng(0)
    opened = 0
    for _ in range(60):
        damaged = bytearray(whole)
        for at in rng.integers(0, len(whole), 3):
            damaged[at] ^= int(rng.integers(1, 256))
        # The tail has the schema and the places of the columns.
        damaged[-int(rng.integers(5, 900))] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(damaged))
        with suppress(UserError):
            open_images(str(path), 32, say=lambda _: None)
            opened += 1
    assert opened < 60
