"""Directories of image files."""

import pytest

from lossbench.benchmarks.data.directory import DirectoryReader
from lossbench.benchmarks.errors import UserError


@pytest.mark.parametrize("there", [True, False])
def test_what_is_no_directory_is_a_users_error(tmp_path, there):
    path = tmp_path / "images"
    if there:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"can't read the directory .*images"):
        DirectoryReader(path).infolist(lambda _: True)
