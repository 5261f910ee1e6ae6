"""A home of its own for every test, and small sources of images to read."""

import io
import os
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Pack = Callable[..., Path]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where lossbench caches in this test; no images are given."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("LOSSBENCH_DATA", raising=False)
    return tmp_path / "xdg" / "lossbench"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The directory of real images that LOSSBENCH_DATA names; without it the test is skipped."""
    directory = Path(os.environ.get("LOSSBENCH_DATA", ""))
    if not os.environ.get("LOSSBENCH_DATA") or not directory.is_dir():
        pytest.skip("LOSSBENCH_DATA names no directory of real images")
    return directory.resolve()


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """Makes an image file; other numbers give other pixels."""

    def make(number: int = 0, size: tuple[int, int] = (40, 36), kind: str = "JPEG") -> bytes:
        pixels = np.random.default_rng(number).integers(0, 256, (size[1], size[0], 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, kind)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def pets(jpeg: Callable[..., bytes]) -> Callable[..., dict[str, bytes]]:
    """Makes files from patterns of names, `count` of each, `{}` being the number."""

    def make(*patterns: str, count: int = 5) -> dict[str, bytes]:
        names = [pattern.format(n) for pattern in patterns for n in range(count)]
        return {name: jpeg(number) for number, name in enumerate(names)}

    return make


@pytest.fixture
def pack(tmp_path: Path) -> Pack:
    """Writes files as a directory, zip, tar or tar.gz and gives its path."""

    def make(files: Mapping[str, bytes], kind: str = "directory", name: str = "pets") -> Path:
        path = tmp_path / (name if kind == "directory" else f"{name}.{kind}")
        if kind == "directory":
            path.mkdir(exist_ok=True)
            for file, content in files.items():
                (path / file).parent.mkdir(parents=True, exist_ok=True)
                (path / file).write_bytes(content)
        elif kind == "zip":
            with zipfile.ZipFile(path, "w") as archive:
                for file, content in files.items():
                    archive.writestr(file, content)
        else:
            with tarfile.open(path, "w:gz" if kind.endswith("gz") else "w") as archive:
                for file, content in files.items():
                    member = tarfile.TarInfo(file)
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
        return path

    return make
