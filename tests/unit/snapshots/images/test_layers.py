"""What a layer may not hold is found by reading it; what it may hold is not refused."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from services.snapshots.domain import LayerFacts
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.layers import MOST_ENTRIES, inspect
from services.snapshots.images.unpacking import Abandoned, Unpacked
from tests.soak import rounds

_ROOMY = 1 << 20
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "tar": bytes,
    "gzip": gzip.compress,
    "gzip in members": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "gzip, filled up": lambda data: gzip.compress(data) + bytes(512),
    "zstd": zstandard.compress,
    "zstd in frames": lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]),
}


def entry(name: str, kind: bytes = tarfile.REGTYPE, **values: Any) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for field, value in values.items():
        setattr(made, field, value)
    return made


def archive(*entries: tarfile.TarInfo, format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as made:
        for one in entries:
            made.addfile(one, io.BytesIO(bytes(one.size)))
    return out.getvalue()


def read(data: bytes, *, limit: int = _ROOMY, most_entries: int = 100) -> LayerFacts:
    return inspect(Unpacked.of(io.BytesIO(data), limit), most_entries=most_entries)


def refusal(data: bytes, **limits: int) -> PullFailed:
    with pytest.raises(PullFailed) as refused:
        read(data, **limits)
    return refused.value


ORDINARY = archive(
    entry("./", tarfile.DIRTYPE),
    entry("/etc/", tarfile.DIRTYPE),
    entry("etc/passwd", size=700),
    entry("bin", tarfile.SYMTYPE, linkname="/usr/bin"),
    entry("up", tarfile.SYMTYPE, linkname="../../../.."),
    entry("etc/same", tarfile.LNKTYPE, linkname="etc/passwd"),
    entry("dev/null", tarfile.CHRTYPE, devmajor=1, devminor=3),
    entry("run/pipe", tarfile.FIFOTYPE),
    entry("var/.wh.log"),
    entry("opt/.wh..wh..opq"),
    entry("long/" + "ä" * 120, size=3),
    entry("/".join(["deep"] * 60), pax_headers={"SCHILY.xattr.user.x": "y" * 2000}),
)


@pytest.mark.parametrize("pack", PACKERS.values(), ids=PACKERS)
def test_an_ordinary_layer_is_read_whatever_packs_it(pack: Callable[[bytes], bytes]) -> None:
    facts = read(pack(ORDINARY))
    assert facts == LayerFacts(f"sha256:{hashlib.sha256(ORDINARY).hexdigest()}", len(ORDINARY), 12)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_each_form_of_archive_is_read(form: int) -> None:
    name = "a/" + "b" * 90 if form == tarfile.USTAR_FORMAT else "a/" + "b" * 200
    assert read(archive(entry(name, size=1000), format=form)).entries == 1


@pytest.mark.parametrize("data", [b"", archive()], ids=["nothing", "no entries"])
def test_an_empty_layer_is_a_layer(data: bytes) -> None:
    assert read(data).entries == 0


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (entry("../escaped"), "leads out"),
        (entry("a/b/../../../escaped"), "leads out"),
        (entry("/../escaped"), "leads out"),
        (entry("x", tarfile.LNKTYPE, linkname="../../etc/shadow"), "leads out"),
        (entry("a/.wh..."), "leads out"),
        (entry("a/.wh."), "leads out"),
        (entry("dev/sda", tarfile.BLKTYPE, devmajor=8, devminor=0), "device"),
        (entry("dev/mem", tarfile.CHRTYPE, devmajor=1, devminor=1), "device"),
        (entry("x", tarfile.SYMTYPE, linkname=""), "leads nowhere"),
        (entry("x", b"Z"), "no file system knows"),
        (entry("b" * 256), "no file system takes"),
        (entry("ä" * 128), "no file system takes"),
        (entry("/".join(["b" * 200] * 21)), "no file system takes"),
        (entry("x", tarfile.LNKTYPE, linkname=""), "no file system takes"),
        (entry("x", pax_headers={"comment": "c" * (1 << 21)}), "longer than any"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.name[:20],
)
def test_what_may_not_be_unpacked_is_refused(bad: tarfile.TarInfo, said: str) -> None:
    failure = refusal(gzip.compress(archive(entry("fine"), bad)), limit=1 << 23)
    assert failure.code is Code.IMAGE_INVALID
    assert said in failure.reason
    assert not failure.transient


def test_a_bomb_is_given_up_on_as_soon_as_it_shows() -> None:
    class Counting(io.BytesIO):
        taken = 0

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            self.taken += len(data)
            return data

    bomb = Counting(gzip.compress(bytes(64 << 20), 9) * 40)
    with pytest.raises(PullFailed) as refused:
        inspect(Unpacked.of(bomb, _ROOMY))
    assert refused.value.code is Code.IMAGE_TOO_LARGE
    assert bomb.taken <= 1 << 21 < len(bomb.getvalue())


def test_more_entries_than_allowed_are_refused() -> None:
    most = rounds(100, MOST_ENTRIES)
    data = archive(*(entry(str(number)) for number in range(most + 1)))
    assert read(data, limit=len(data), most_entries=most + 1).entries == most + 1
    failure = refusal(data, limit=len(data), most_entries=most)
    assert f"more than {most} entries" in failure.reason


def test_files_may_not_be_larger_than_what_may_be_unpacked() -> None:
    """A sparse file is: the archive has none of its bytes."""
    sparse = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": str(1 << 50)}
    hole = entry("hole", size=512, pax_headers={**sparse, "GNU.sparse.name": "hole"})
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as made:
        made.addfile(hole, io.BytesIO(b"0\n".ljust(512, b"\0")))
    assert refusal(out.getvalue()).code is Code.IMAGE_TOO_LARGE


@pytest.mark.parametrize(
    "data",
    [
        ORDINARY[:1500],
        ORDINARY[:100],
        b"no archive at all",
        gzip.compress(ORDINARY)[:-20],
        gzip.compress(b"no archive at all" * 100),
        b"\x1f\x8bnot packed",
        b"\x28\xb5\x2f\xfdnot packed",
        # One tool sees the end at the first block of zeros, another goes on.
        archive(entry("fine"))[:512] + bytes(512) + archive(entry("../escaped")),
        archive(entry("fine"))[:512] + b"\1" * 512 + archive(entry("../escaped")),
        archive(entry("fine"))[:512] + b"\1" * 512 + bytes(1024),
    ],
    ids=[
        "cut",
        "cut early",
        "text",
        "cut gzip",
        "packed text",
        "gzip",
        "zstd",
        "two",
        "junk",
        "end",
    ],
)
def test_what_is_no_whole_archive_is_refused(data: bytes) -> None:
    assert refusal(data).code is Code.IMAGE_INVALID


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_damage_is_read_or_refused_and_never_an_error_of_ours(data: st.DataObject) -> None:
    damaged = bytearray(ORDINARY)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at] = data.draw(st.integers(0, 255))
    pack = data.draw(st.sampled_from(list(PACKERS.values())))
    found: LayerFacts | None = None
    with suppress(PullFailed):
        found = read(pack(bytes(damaged)))
    whole = f"sha256:{hashlib.sha256(damaged).hexdigest()}"
    assert found is None or found.diff_id == whole


def test_nobody_goes_on_reading_what_nobody_waits_for() -> None:
    unpacked = Unpacked.of(io.BytesIO(ORDINARY), _ROOMY)
    unpacked.abandon()
    with pytest.raises(Abandoned):
        inspect(unpacked)
