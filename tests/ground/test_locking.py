from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from toolkit.ground.errors import RunFolderError
from toolkit.ground.locking import FolderLock, holder_of


def test_a_full_disk_is_told_and_leaves_the_folder_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(RunFolderError, match="the disk is full"):
            FolderLock.take(tmp_path)
    assert holder_of(tmp_path) is None
    FolderLock.take(tmp_path).release()
