"""Archives of strangers: what is in them is unpacked as it is, and nothing gets out of the folder."""

import io
import stat
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from services.snapshots.contexts.unpacking import ArchiveRefused, unpack

Add = Callable[[tarfile.TarFile], None]


def _entry(name: str, data: bytes = b"", **more: object) -> Add:
    def add(archive: tarfile.TarFile) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        for key, value in more.items():
            setattr(info, key, value)
        archive.addfile(info, io.BytesIO(data))

    return add


def _folder(name: str, mode: int = 0o755) -> Add:
    return _entry(name, type=tarfile.DIRTYPE, mode=mode)


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> Add:
    return _entry(name, type=kind, linkname=target)


def _archive(*entries: Add, format: int = tarfile.PAX_FORMAT) -> io.BytesIO:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as archive:
        for add in entries:
            add(archive)
    return out


def _unpack(archive: io.BytesIO, folder: Path, *, bytes_: int = 10_000, entries: int = 100) -> None:
    unpack(archive, folder, most_bytes=bytes_, most_entries=entries)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def _outside(folder: Path) -> list[str]:
    return [p.name for p in folder.parent.iterdir() if p != folder]


def test_contents_modes_and_links_are_kept(folder: Path) -> None:
    _unpack(
        _archive(
            _folder("src", 0o750),
            _entry("src/run", b"#!/bin/sh\n", mode=0o755, mtime=1_000_000),
            _entry("src/deep/data", b"x" * 3_000, mode=0o640),
            _link("src/to", "deep/data"),
            _link("src/up", "../src/run"),
            _link("src/again", "src/run", tarfile.LNKTYPE),
            _folder("src/empty"),
        ),
        folder,
    )
    run = folder / "src/run"
    assert run.read_bytes() == b"#!/bin/sh\n"
    assert stat.S_IMODE(run.stat().st_mode) == 0o755
    assert run.stat().st_mtime == 1_000_000
    assert stat.S_IMODE((folder / "src").stat().st_mode) == 0o750
    assert (folder / "src/to").readlink() == Path("deep/data")
    assert (folder / "src/up").read_bytes() == run.read_bytes()
    assert (folder / "src/again").samefile(run)
    assert list((folder / "src/empty").iterdir()) == []


def test_a_path_from_above_is_taken_as_copy_takes_it(folder: Path) -> None:
    _unpack(_archive(_folder("../lib"), _entry("../lib/a", b"a")), folder)
    assert (folder / "lib/a").read_bytes() == b"a"
    assert _outside(folder) == []


def test_archives_share_a_folder(folder: Path) -> None:
    _unpack(_archive(_folder("app"), _entry("app/a", b"1"), _entry("app/b", b"1")), folder)
    _unpack(_archive(_folder("app"), _entry("app/b", b"2"), _entry("app/c", b"2")), folder)
    assert [(folder / "app" / n).read_bytes() for n in "abc"] == [b"1", b"2", b"2"]


def test_nobody_gets_the_rights_of_others(folder: Path) -> None:
    _unpack(_archive(_entry("su", b"x", mode=0o6755), _entry("hidden", b"x", mode=0)), folder)
    assert stat.S_IMODE((folder / "su").stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "hidden").stat().st_mode) == 0o400


HOSTILE = {
    "an absolute path": [_entry("/etc/cron.d/x", b"x")],
    "a way back": [_entry("a/../../x", b"x")],
    "a way back after the beginning": [_entry("../a/../x", b"x")],
    "a link to an absolute path": [_link("a", "/etc/passwd")],
    "a link out": [_link("a/b", "../../x")],
    "a file through a link": [_link("a", "b"), _folder("b"), _entry("a/x", b"x")],
    "a file through a link out": [_link("a", ".."), _entry("a/x", b"x")],
    "a folder over a link": [_link("a", ".."), _folder("a")],
    "links that lead out together": [
        _folder("deep"),
        _folder("deep/er"),
        _link("deep/er/link", "../.."),
        _link("out", "deep/er/link/.."),
    ],
    "the same, the other way round": [
        _link("out", "deep/er/link/.."),
        _folder("deep/er"),
        _link("deep/er/link", "../.."),
    ],
    "a hard link out": [_link("a", "../x", tarfile.LNKTYPE)],
    "a hard link to an absolute path": [_link("a", "/etc/passwd", tarfile.LNKTYPE)],
    "a hard link through a link": [
        _link("a", "/etc"),
        _link("b", "a/passwd", tarfile.LNKTYPE),
    ],
    "a hard link to nothing": [_link("a", "never", tarfile.LNKTYPE)],
    "a hard link to a folder": [_folder("a"), _link("b", "a", tarfile.LNKTYPE)],
    "a device": [_entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "a disk": [_entry("disk", type=tarfile.BLKTYPE, devmajor=8)],
    "a pipe": [_entry("pipe", type=tarfile.FIFOTYPE)],
    "a type that nobody knows": [_entry("odd", type=b"Z")],
    "a file that is a folder too": [_entry("a", b"x"), _entry("a/b", b"x")],
    "a folder that is a file too": [_folder("a"), _entry("a/b", b"x"), _entry("a", b"x")],
    "a file in place of everything": [_entry(".", b"x")],
    "a name that is too long": [_entry("n" * 300, b"x")],
    "folders that are too deep": [_entry("d/" * 300 + "x", b"x")],
    "too many bytes": [_entry(str(n), b"x" * 3_000) for n in range(4)],
    "too many entries": [_folder(str(n)) for n in range(101)],
    "a header that fills the memory": [_entry("x", b"x", pax_headers={"comment": "c" * (2 << 20)})],
}


@pytest.mark.parametrize("entries", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_hostile_is_refused(folder: Path, entries: list[Add]) -> None:
    before = Path("/etc/passwd").stat().st_nlink
    with pytest.raises(ArchiveRefused):
        _unpack(_archive(*entries), folder)
    assert _outside(folder) == []
    assert Path("/etc/passwd").stat().st_nlink == before


def test_links_of_two_archives_do_not_lead_out_together(folder: Path) -> None:
    _unpack(_archive(_link("out", "deep/er/link/..")), folder)
    with pytest.raises(ArchiveRefused):
        _unpack(_archive(_folder("deep/er"), _link("deep/er/link", "../..")), folder)


def test_a_file_of_an_archive_does_not_follow_a_link_of_another(folder: Path) -> None:
    _unpack(_archive(_folder("real"), _link("a", "real")), folder)
    with pytest.raises(ArchiveRefused):
        _unpack(_archive(_entry("a/x", b"x")), folder)
    assert list((folder / "real").iterdir()) == []


def test_a_size_that_lies_writes_nothing(folder: Path) -> None:
    """A header of 512 bytes promises what nobody sent."""
    out = _archive(_entry("big", b"x"))
    raw = bytearray(out.getvalue())
    raw[124:136] = b"\x80" + struct.pack(">IQ", 0, 1 << 50)[1:]
    raw[148:156] = b" " * 8
    raw[148:156] = f"{sum(raw[:512]):06o}\0 ".encode()
    with pytest.raises(ArchiveRefused):
        _unpack(io.BytesIO(bytes(raw)), folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("left", [0, 100, 511, 512, 700, 1_024, 2_048])
def test_what_is_cut_off_is_refused(folder: Path, left: int) -> None:
    whole = _archive(_entry("a", b"a" * 100), _entry("b", b"b" * 900)).getvalue()
    with pytest.raises(ArchiveRefused):
        _unpack(io.BytesIO(whole[:left]), folder)


@pytest.mark.parametrize("garbage", [b"PK\3\4" + b"z" * 2_000, b"\x1f\x8b" + b"z" * 2_000])
def test_what_is_no_archive_is_refused(folder: Path, garbage: bytes) -> None:
    with pytest.raises(ArchiveRefused):
        _unpack(io.BytesIO(garbage), folder)


def test_a_sparse_file_is_refused(folder: Path) -> None:
    headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a"}
    sized = {**headers, "GNU.sparse.realsize": "99999999999"}
    with pytest.raises(ArchiveRefused):
        _unpack(_archive(_entry("a", b"0\n" + b"\0" * 600, pax_headers=sized)), folder)


def test_an_empty_archive_is_an_empty_folder(folder: Path) -> None:
    _unpack(_archive(), folder)
    assert list(folder.iterdir()) == []
