"""Digests as the public clients take them, told from those of something else."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from services.snapshots.contexts.digests import contradicts, is_digest
from services.snapshots.contexts.unpacking import unpack


def _md5_of(path: Path, base: str, order: list[str]) -> str:
    """Take the digest of a file, or of a folder whose files were listed in this order, as the Python client does."""
    hasher = hashlib.md5(base.encode())
    if path.is_file():
        hasher.update(path.read_bytes())
        return hasher.hexdigest()
    for root, folders, files in os.walk(path):
        folders.sort(key=order.index)
        if not folders and not files:
            hasher.update(os.path.relpath(root, path).encode())
        for name in sorted(files, key=order.index):
            hasher.update(os.path.relpath(Path(root, name), path).encode())
            hasher.update(Path(root, name).read_bytes())
    return hasher.hexdigest()


def _packed(path: Path, base: str) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as archive:
        archive.add(path, arcname=base)
    return out


def _judged(digest: str, archive: io.BytesIO, folder: Path) -> bool:
    """Return whether the archive passes for what the digest names."""
    folder.mkdir(exist_ok=True)
    found = unpack(archive, folder, most_bytes=1 << 20, most_entries=1_000)
    sha256 = hashlib.sha256(archive.getvalue()).hexdigest()
    return not contradicts(digest, sha256, archive, found)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "tree"
    for name, text in (("b", "2"), ("a", "1"), ("in/z", "3"), ("in/y", "4"), ("out/x", "5")):
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text(text)
    (made / "empty").mkdir()
    return made


@pytest.mark.parametrize(
    "order",
    [
        ["a", "b", "empty", "in", "out", "x", "y", "z"],
        ["z", "y", "x", "out", "in", "empty", "b", "a"],
        ["out", "y", "z", "empty", "b", "in", "a", "x"],
    ],
)
@pytest.mark.parametrize("base", ["home/me/tree", ".", "../tree"])
def test_a_tree_is_known_in_whatever_order_it_was_listed(
    tree: Path, tmp_path: Path, order: list[str], base: str
) -> None:
    archive = _packed(tree, base)
    assert _judged(_md5_of(tree, base, order), archive, tmp_path / "out")
    other = _md5_of(tree, base + "x", order)
    assert not _judged(other, archive, tmp_path / "out")


def test_changed_contents_are_not_what_was_named(tree: Path, tmp_path: Path) -> None:
    order = ["a", "b", "empty", "in", "out", "x", "y", "z"]
    before = _md5_of(tree, "tree", order)
    (tree / "in/y").write_text("other")
    assert not _judged(before, _packed(tree, "tree"), tmp_path / "out")


@pytest.mark.parametrize("base", ["requirements.txt", "home/me/requirements.txt"])
def test_a_file_is_known(tmp_path: Path, base: str) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy\n")
    archive = _packed(file, base)
    digest = _md5_of(file, base, [])
    assert _judged(digest, archive, tmp_path / "out")
    assert not _judged(hashlib.md5(b"numpy\n").hexdigest(), archive, tmp_path / "out")


def test_a_tree_packed_on_windows_is_known(tree: Path, tmp_path: Path) -> None:
    hasher = hashlib.md5(b"Users\\me\\tree")
    for path in ("a", "b", "in\\y", "in\\z", "out\\x"):
        if path == "in\\y":
            hasher.update(b"empty")
        hasher.update(path.encode() + (tree / path.replace("\\", "/")).read_bytes())
    archive = _packed(tree, "Users/me/tree")
    assert _judged(hasher.hexdigest(), archive, tmp_path / "out")


def test_what_cannot_be_judged_is_not_refused(tree: Path, tmp_path: Path) -> None:
    """Ten files of one folder may have been listed in millions of orders; and a link shows its target, not its bytes."""
    for number in range(10):
        (tree / str(number)).write_text("x")
    assert _judged("0" * 32, _packed(tree, "tree"), tmp_path / "out")
    small = tmp_path / "small"
    small.mkdir()
    (small / "a").write_text("x")
    assert not _judged("0" * 32, _packed(small, "small"), tmp_path / "out")
    (small / "to").symlink_to("a")
    assert _judged("0" * 32, _packed(small, "small"), tmp_path / "out")


def test_what_is_large_or_deep_costs_nothing_to_judge(tmp_path: Path) -> None:
    many, deep = tmp_path / "many", tmp_path / "deep"
    for number in range(1_100):
        (many / str(number)).mkdir(parents=True)
    deep.joinpath(*"d" * 250).mkdir(parents=True)
    for tree in (many, deep):
        archive, out = _packed(tree, "tree"), tmp_path / f"out-{tree.name}"
        out.mkdir()
        found = unpack(archive, out, most_bytes=1, most_entries=2_000)
        sha256 = hashlib.sha256(archive.getvalue()).hexdigest()
        assert not contradicts(sha256, sha256, archive, found)
        assert contradicts("0" * 64, sha256, archive, found)
        # Whatever it answers, it answers.
        contradicts("0" * 32, sha256, archive, found)


def test_the_command_lines_digests_are_known(tree: Path, tmp_path: Path) -> None:
    archive = _packed(tree, "tree")
    sha256 = hashlib.sha256(archive.getvalue()).hexdigest()
    assert _judged(sha256, archive, tmp_path / "out")
    assert not _judged("0" * 64, archive, tmp_path / "out")
    of_file = hashlib.sha256((tree / "a").read_bytes()).hexdigest()
    assert _judged(of_file, _packed(tree / "a", "a"), tmp_path / "out")
    assert not _judged(of_file, _packed(tree / "b", "b"), tmp_path / "out")


@pytest.mark.parametrize("text", ["", "a" * 31, "A" * 32, "../" + "a" * 29, "a" * 63, "g" * 64])
def test_anything_else_is_no_digest(text: str) -> None:
    assert not is_digest(text)
