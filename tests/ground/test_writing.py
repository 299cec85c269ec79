from __future__ import annotations

import errno

import pytest

from toolkit.ground.errors import RunFolderError
from toolkit.ground.writing import aside, write_text


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "map.tif"
    with aside(target) as part:
        assert part.parent == target.parent and part.suffix == ".tif"
        part.write_bytes(b"half")
        assert not target.exists()
        part.write_bytes(b"whole")
    assert target.read_bytes() == b"whole" and names(target.parent) == ["map.tif"]


def test_a_failure_leaves_the_former_file_and_nothing_else(tmp_path):
    target = tmp_path / "map.tif"
    target.write_bytes(b"former")
    with pytest.raises(ZeroDivisionError), aside(target) as part:
        part.write_bytes(b"half")
        raise ZeroDivisionError
    assert target.read_bytes() == b"former" and names(tmp_path) == ["map.tif"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_says_so(tmp_path, number):
    full = pytest.raises(RunFolderError, match=r"the disk is full while writing .*map\.tif; free some space")
    with full, aside(tmp_path / "map.tif") as part:
        part.write_bytes(b"half")
        raise OSError(number, "No space left on device")
    assert names(tmp_path) == []


def test_a_folder_that_is_a_file_says_so(tmp_path):
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(RunFolderError, match=r"map\.tif cannot be written .*choose another folder"):
        write_text(tmp_path / "runs" / "map.tif", "text")


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(OSError, match="unplugged"), aside(tmp_path / "map.tif"):
        raise OSError(errno.EIO, "unplugged")


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "labels.csv", "forêt\n")
    assert (tmp_path / "labels.csv").read_bytes() == "forêt\n".encode()
