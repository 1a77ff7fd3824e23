"""An archive is made again from what buildah keeps of it, byte for byte, and from nothing outside of the layer."""

import gzip
import json
import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from services.snapshots.builder.archives import ArchiveBroken, Archives

ID, DIFF = "a" * 64, f"sha256:{'b' * 64}"
_MIB = 1 << 20


def verbatim(data: bytes) -> dict[str, Any]:
    return {"type": 2, "payload": b64encode(data).decode()}


def content(name: str, size: int) -> dict[str, Any]:
    return {"type": 1, "name": name, "size": size, "payload": "crc"}


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The files of a layer."""
    files = tmp_path / "overlay" / ID / "diff"
    files.mkdir(parents=True)
    (tmp_path / "overlay-layers").mkdir()
    return files


def archive(tmp_path: Path, *entries: dict[str, Any]) -> bytes:
    folder = tmp_path / "overlay-layers"
    layers = [{"id": "empty"}, {"id": ID, "diff-digest": DIFF, "diff-size": 7}]
    (folder / "layers.json").write_text(json.dumps(layers))
    lines = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / f"{ID}.tar-split.gz").write_bytes(gzip.compress(lines.encode()))
    archives = Archives(tmp_path)
    assert archives.size(DIFF) == 7
    return b"".join(archives.pieces(DIFF))


def test_pieces_and_files_come_in_their_order(tmp_path: Path, files: Path) -> None:
    (files / "a").mkdir()
    (files / "a" / "b").write_bytes(b"x" * (2 * _MIB + 3))
    (files / "c").write_bytes(b"see")
    raw = {"type": 1, "name_raw": b64encode(b"a/\xff").decode(), "size": 2}
    (files / "a").joinpath("\udcff").write_bytes(b"hi")
    made = archive(
        tmp_path,
        verbatim(b"one"),
        content("./a/b", 2 * _MIB + 3),
        {"type": 1, "name": "a/", "payload": None},
        verbatim(b"two"),
        content("/c", 3),
        raw,
        {"type": 2, "payload": None},
    )
    assert made == b"one" + b"x" * (2 * _MIB + 3) + b"two" + b"see" + b"hi"


@pytest.mark.parametrize(
    "name", ["../secret", "a/../../secret", "link", "folder/secret", "gone", "", "."]
)
def test_nothing_outside_is_read(tmp_path: Path, files: Path, name: str) -> None:
    (tmp_path / "overlay" / ID / "secret").write_bytes(b"secret")
    (files / "link").symlink_to("../secret")
    (files / "folder").symlink_to("..")
    with pytest.raises(ArchiveBroken):
        archive(tmp_path, content(name, 6))


def test_a_file_that_is_shorter_than_it_was_is_told(tmp_path: Path, files: Path) -> None:
    (files / "a").write_bytes(b"ab")
    with pytest.raises(ArchiveBroken, match="shorter"):
        archive(tmp_path, content("a", 3))


def test_a_pipe_keeps_nobody_waiting(tmp_path: Path, files: Path) -> None:
    os.mkfifo(files / "pipe")
    with pytest.raises(ArchiveBroken):
        archive(tmp_path, content("pipe", 3))


def test_a_layer_that_is_not_there_is_told(tmp_path: Path, files: Path) -> None:
    archive(tmp_path)
    with pytest.raises(ArchiveBroken, match="no layer"):
        next(Archives(tmp_path).pieces("sha256:" + "c" * 64))
