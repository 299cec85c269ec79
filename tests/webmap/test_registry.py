"""The meeting point of kernel and server: private, for the living only, and nothing but what was put there."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from toolkit.ground.errors import LandcoverError, ProductError
from toolkit.webmap.layers import Indexed, RasterLayer
from toolkit.webmap.registry import Meeting, Route, folder_of

BASE = "/hub/user/alice/"


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Jupyter's runtime folder; this process plays both server and kernel."""
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JPY_PARENT_PID", str(os.getpid()))
    return tmp_path / "runtime"


@pytest.fixture
def layer(tmp_path: Path) -> RasterLayer:
    (tmp_path / "a.tif").write_bytes(b"")
    return RasterLayer((tmp_path / "a.tif",), Indexed({1: (255, 0, 0, 255)}), 0)


def key_in(url: str) -> str:
    return url.split("/")[-4]


def dead_server(runtime: Path) -> Path:
    """Folder of a server that was killed."""
    code = (
        "import os; from toolkit.webmap.registry import Meeting\n"
        "print(Meeting.open('/').folder, flush=True); os._exit(1)"
    )
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(runtime)}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    folder = Path(ran.stdout.strip())
    assert folder.is_dir(), ran.stderr
    return folder


def test_kernel_and_server_meet(runtime: Path, layer: RasterLayer) -> None:
    meeting = Meeting.open(BASE)
    route = Route.find()
    assert route is not None
    assert route.check_url == "/hub/user/alice/landcover/check"
    url, both = route.add(layer), route.add(layer, layer)
    assert url.startswith("/hub/user/alice/landcover/squares/")
    assert "/{z}/{x}/{y}.png?v=" in url
    assert meeting.layers(key_in(url)) == (layer,)
    assert meeting.layers(key_in(both)) == (layer, layer)
    route.remove(url)
    route.remove("no such URL")
    assert meeting.layers(key_in(url)) == ()
    route.close()
    assert meeting.layers(key_in(both)) == ()
    meeting.close()
    assert not meeting.folder.exists()
    assert Route.find() is None


def test_folder_and_files_are_the_user_s_alone(runtime: Path, layer: RasterLayer) -> None:
    meeting = Meeting.open(BASE)
    route = Route.find()
    assert route is not None
    route.add(layer)
    assert stat.S_IMODE(meeting.folder.stat().st_mode) == 0o700
    readable = {path.name for path in meeting.folder.glob("*.json") if stat.S_IMODE(path.stat().st_mode) != 0o600}
    assert not readable
    meeting.close()


def test_without_a_server_there_is_no_route(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Route.find() is None
    for parent in ("", "none", "-1", "0"):
        monkeypatch.setenv("JPY_PARENT_PID", parent)
        assert Route.find() is None
    monkeypatch.delenv("JPY_PARENT_PID")
    assert Route.find() is None


def test_folder_of_a_dead_server_is_no_route_and_is_swept(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dead = dead_server(runtime)
    monkeypatch.setenv("JPY_PARENT_PID", dead.name.rpartition("-")[2])
    assert Route.find() is None, "its number may be another process's now"
    meeting = Meeting.open(BASE)
    assert not dead.exists()
    meeting.close()


def test_folder_left_by_a_dead_server_of_the_same_number_is_replaced(runtime: Path) -> None:
    dead_server(runtime).rename(folder_of(os.getpid()))
    (folder_of(os.getpid()) / ("k" * 32 + ".json")).write_text("{}")
    assert Route.find() is None
    meeting = Meeting.open(BASE)
    assert meeting.layers("k" * 32) == ()
    assert Route.find() is not None
    meeting.close()


def test_living_servers_are_not_swept(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Meeting.open(BASE)
    monkeypatch.setattr(os, "getpid", lambda: 999_999_999)
    second = Meeting.open(BASE)
    assert first.folder.is_dir()
    assert second.folder.is_dir()
    first.close()
    second.close()


def test_what_others_may_enter_is_not_used(runtime: Path, tmp_path: Path) -> None:
    meeting = Meeting.open(BASE)
    meeting.folder.chmod(0o755)
    assert Route.find() is None
    meeting.folder.chmod(0o700)
    meeting.folder.rename(tmp_path / "elsewhere")
    meeting.folder.symlink_to(tmp_path / "elsewhere")
    assert Route.find() is None
    with pytest.raises(LandcoverError, match=r"cannot be made .* take away what stands there"):
        Meeting.open(BASE)
    assert not [path for path in runtime.iterdir() if path.name.startswith(".")], "nothing half made stays"
    meeting.close()


@pytest.mark.parametrize(
    "key", ["", "server", "../secret", "k" * 31, "k" * 33, "k" * 32 + "\n", "k" * 29 + "/..", "é" * 32, "." * 32]
)
def test_key_that_is_none_gives_nothing(runtime: Path, layer: RasterLayer, key: str) -> None:
    meeting = Meeting.open(BASE)
    (runtime / "secret.json").write_text(layer.to_json())
    (meeting.folder / "server.json").write_text(layer.to_json())
    assert meeting.layers(key) == ()
    meeting.close()


def test_file_that_is_no_layer_gives_nothing(runtime: Path, layer: RasterLayer, tmp_path: Path) -> None:
    meeting = Meeting.open(BASE)
    place = meeting.folder / ("k" * 32 + ".json")
    for content in ("", "{}", layer.to_json().replace("indexed", "shell"), json.dumps({"files": ["relative.tif"]})):
        place.unlink(missing_ok=True)
        place.write_text(content)
        assert meeting.layers("k" * 32) == ()
    place.unlink()
    (tmp_path / "outside.json").write_text(layer.to_json())
    place.symlink_to(tmp_path / "outside.json")
    assert meeting.layers("k" * 32) == ()
    meeting.close()


def test_absent_file_is_not_put_on_a_map(runtime: Path, tmp_path: Path) -> None:
    meeting = Meeting.open(BASE)
    route = Route.find()
    assert route is not None
    with pytest.raises(ProductError, match=r"gone\.tif"):
        route.add(RasterLayer((tmp_path / "gone.tif",), Indexed({})))
    assert {path.name for path in meeting.folder.glob("*.json")} == {"server.json"}
    meeting.close()
