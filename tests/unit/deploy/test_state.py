"""The state folder and the folders for sockets."""

import os
import stat
from pathlib import Path

import pytest

from deploy.local.failures import AlreadyRunning, Failure
from deploy.local.state import Home, runtime_folder, socket_path, take_lock, write_private


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path)
    home.prepare()
    return home


def test_one_supervisor_holds_it(home: Home) -> None:
    held = take_lock(home)
    with pytest.raises(AlreadyRunning):
        take_lock(home)
    os.close(held)
    os.close(take_lock(home))


def test_the_socket_folder_is_private_and_found_again(home: Home) -> None:
    folder = runtime_folder(home, "services")
    try:
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert runtime_folder(home, "services") == folder
        assert len(str(folder)) < 40
    finally:
        folder.rmdir()


def test_a_socket_folder_that_others_may_enter_is_not_used_again(home: Home) -> None:
    first = runtime_folder(home, "services")
    first.chmod(0o755)
    second = runtime_folder(home, "services")
    try:
        assert second != first
    finally:
        first.rmdir()
        second.rmdir()


def test_too_long_a_socket_path_is_refused() -> None:
    with pytest.raises(Failure, match="too long"):
        socket_path(Path("/" + "x" * 100), "auth.sock")


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    write_private(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_private(path, "\ud800")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["secret"]
