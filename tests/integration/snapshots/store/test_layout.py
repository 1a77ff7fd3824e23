"""The store on a disk: nothing wrong is ever visible, nothing is lost that could be resumed."""

import asyncio
import fcntl
import os
import resource
import tempfile
import threading
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import FileIO
from pathlib import Path
from random import Random

import pytest

from services.snapshots.store.digests import InvalidDigest, digest_of
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.store.partials import Writer
from services.snapshots.store.port import (
    BlobMissing,
    BlobTruncated,
    ContentMismatch,
    Source,
    Store,
    StoreFull,
)

DATA = Random(5).randbytes(3_500_000)
DIGEST = digest_of(DATA)
# More than the loop's pool has, however many processors there are.
_EVERY_THREAD = 33
BAD = [
    "",
    "sha256:",
    "../../etc/passwd",
    "sha256:../../../etc/passwd",
    "sha256:" + "a" * 63,
    "sha256:" + "a" * 65,
    "sha256:" + "A" * 64,
    "sha256:" + "a" * 64 + "\n",
    "sha512:" + "a" * 128,
    "sha256:" + "a" * 60 + "/../",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> OciLayoutStore:
    made: Store = OciLayoutStore(root)
    assert isinstance(made, OciLayoutStore)
    return made


def source(data: bytes, *, chunk: int = 200_000, offsets: list[int] | None = None) -> Source:
    async def read(offset: int) -> AsyncGenerator[bytes, None]:
        if offsets is not None:
            offsets.append(offset)
        for start in range(offset, len(data), chunk):
            yield data[start : start + chunk]
            await asyncio.sleep(0)

    return read


def partials(root: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (root / "partial").iterdir()}


async def test_a_blob_is_kept_read_only_under_its_digest(store: OciLayoutStore, root: Path) -> None:
    await store.write_blob(DIGEST, len(DATA), source(DATA), owner="o")

    path = root / "blobs" / "sha256" / DIGEST[7:]
    assert path.read_bytes() == DATA
    assert path.stat().st_mode & 0o777 == 0o440
    assert await store.has(DIGEST) == len(DATA)
    assert await store.verify(DIGEST)
    assert await store.read(DIGEST, limit=len(DATA)) == DATA
    assert not partials(root)
    assert await store.usage() == len(DATA)


async def test_an_empty_blob_is_a_blob(store: OciLayoutStore) -> None:
    await store.write_blob(digest_of(b""), 0, source(b""), owner="o")
    assert await store.has(digest_of(b"")) == 0


async def test_an_interrupted_write_goes_on_where_it_stopped(
    store: OciLayoutStore, root: Path
) -> None:
    with pytest.raises(BlobTruncated):
        await store.write_blob(DIGEST, len(DATA), source(DATA[:1_234_567]), owner="o")
    assert await store.has(DIGEST) is None
    assert partials(root) == {f"o.{DIGEST[7:]}": 1_234_567}

    offsets: list[int] = []
    await store.write_blob(DIGEST, len(DATA), source(DATA, offsets=offsets), owner="o")

    assert offsets == [1_234_567]
    assert await store.verify(DIGEST)


async def test_a_failing_source_loses_nothing_that_came(store: OciLayoutStore, root: Path) -> None:
    async def fails(offset: int) -> AsyncGenerator[bytes, None]:
        yield DATA[offset : offset + 1_111_111]
        raise RuntimeError("cut")

    with pytest.raises(RuntimeError, match="cut"):
        await store.write_blob(DIGEST, len(DATA), fails, owner="o")
    assert list(partials(root).values()) == [1_111_111]


async def test_what_was_whole_before_a_crash_needs_no_source(
    store: OciLayoutStore, root: Path
) -> None:
    (root / "partial" / f"o.{DIGEST[7:]}").write_bytes(DATA)
    offsets: list[int] = []
    await store.write_blob(DIGEST, len(DATA), source(DATA, offsets=offsets), owner="o")
    assert offsets == []
    assert await store.verify(DIGEST)


@pytest.mark.parametrize("left", [b"x" * 1000, DATA + b"more"], ids=["damaged", "too long"])
async def test_a_bad_leftover_never_becomes_a_blob(
    store: OciLayoutStore, root: Path, left: bytes
) -> None:
    (root / "partial" / f"o.{DIGEST[7:]}").write_bytes(left)
    if len(left) < len(DATA):
        with pytest.raises(ContentMismatch):
            await store.write_blob(DIGEST, len(DATA), source(DATA), owner="o")
        assert not partials(root)
    await store.write_blob(DIGEST, len(DATA), source(DATA), owner="o")
    assert await store.verify(DIGEST)


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"!", DATA + b"!"], ids=["other", "longer"])
async def test_wrong_bytes_are_deleted(store: OciLayoutStore, root: Path, wrong: bytes) -> None:
    with pytest.raises(ContentMismatch):
        await store.write_blob(DIGEST, len(DATA), source(wrong), owner="o")
    assert await store.has(DIGEST) is None
    assert not partials(root)


async def test_writers_of_one_owner_share_and_others_do_not(store: OciLayoutStore) -> None:
    offsets: list[int] = []
    reads = [
        store.write_blob(DIGEST, len(DATA), source(DATA, offsets=offsets), owner=owner)
        for owner in ("one", "one", "one", "two")
    ]
    await asyncio.gather(*reads)
    assert offsets == [0, 0]
    assert await store.verify(DIGEST)


async def test_a_writer_that_waited_for_nothing_writes_itself(
    store: OciLayoutStore, root: Path
) -> None:
    path = root / "partial" / f"o.{DIGEST[7:]}"
    with path.open("wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        write = asyncio.create_task(store.write_blob(DIGEST, len(DATA), source(DATA), owner="o"))
        done, _ = await asyncio.wait({write}, timeout=0.2)
        assert not done
        path.unlink()
    await asyncio.wait_for(write, 5)
    assert await store.verify(DIGEST)


async def test_cancelling_frees_the_lock_and_leaves_what_came(
    store: OciLayoutStore, root: Path
) -> None:
    here = asyncio.Event()

    async def endless(offset: int) -> AsyncGenerator[bytes, None]:
        yield DATA[offset : offset + 2_000_000]
        here.set()
        await asyncio.Event().wait()

    write = asyncio.create_task(store.write_blob(DIGEST, len(DATA), endless, owner="o"))
    await here.wait()
    write.cancel()
    with pytest.raises(asyncio.CancelledError):
        await write
    offsets: list[int] = []
    await asyncio.wait_for(
        store.write_blob(DIGEST, len(DATA), source(DATA, offsets=offsets), owner="o"), 5
    )
    assert offsets == [2_000_000]


async def test_a_cancelled_publication_is_done_before_it_ends(tmp_path: Path) -> None:
    partial, blob, gate = tmp_path / "partial", tmp_path / "blob", threading.Event()
    with Writer(FileIO(partial, "w+"), len(DATA)) as writer:
        await writer.add(DATA)
        await writer.complete(DIGEST[7:])
        loop = asyncio.get_running_loop()
        waiting = [loop.run_in_executor(None, gate.wait) for _ in range(_EVERY_THREAD)]
        publication = asyncio.create_task(writer.publish(partial, blob))
        await asyncio.sleep(0)
        publication.cancel()
        done, _ = await asyncio.wait({publication}, timeout=0.05)
        assert not done
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await publication
        await asyncio.gather(*waiting)
        assert blob.read_bytes() == DATA
        assert not partial.exists()


async def test_a_full_disk_has_a_name_and_leaves_nothing(store: OciLayoutStore, root: Path) -> None:
    with _largest_file(1 << 20):
        with pytest.raises(StoreFull):
            await store.write_blob(DIGEST, len(DATA), source(DATA), owner="o")
        with pytest.raises(StoreFull):
            await store.put_bytes(DIGEST, DATA)
    assert not partials(root)
    assert await store.usage() == 0


@pytest.mark.parametrize("digest", BAD)
async def test_only_digests_name_blobs(store: OciLayoutStore, root: Path, digest: str) -> None:
    before = sorted(root.rglob("*"))
    for act in (
        store.has(digest),
        store.read(digest, limit=1),
        store.open(digest),
        store.write_blob(digest, 1, source(b"x"), owner="o"),
        store.put_bytes(digest, b"x"),
        store.remove(digest),
        store.verify(digest),
        store.tag("x", digest, "y"),
    ):
        with pytest.raises(InvalidDigest):
            await act
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize("owner", ["", "../x", "a/b", "a.b", "x" * 65, "a\n"])
async def test_only_plain_words_name_owners(store: OciLayoutStore, owner: str) -> None:
    with pytest.raises(ValueError, match="owner"):
        await store.write_blob(DIGEST, len(DATA), source(DATA), owner=owner)


async def test_a_blob_is_removed_under_who_reads_it(store: OciLayoutStore) -> None:
    await store.put_bytes(DIGEST, DATA)
    with await store.open(DIGEST) as file:
        await store.remove(DIGEST)
        assert file.read() == DATA
    await store.remove(DIGEST)
    assert await store.has(DIGEST) is None
    assert not await store.verify(DIGEST)
    with pytest.raises(BlobMissing):
        await store.read(DIGEST, limit=10)


async def test_bit_rot_is_found_and_mended(store: OciLayoutStore, root: Path) -> None:
    await store.put_bytes(DIGEST, DATA)
    path = root / "blobs" / "sha256" / DIGEST[7:]
    path.chmod(0o600)
    path.write_bytes(DATA[:-1] + b"?")
    assert not await store.verify(DIGEST)
    await store.write_blob(DIGEST, len(DATA), source(DATA), owner="o")
    assert await store.verify(DIGEST)


async def test_small_reads_have_a_limit_and_small_writes_a_digest(store: OciLayoutStore) -> None:
    await store.put_bytes(digest_of(b"four"), b"four")
    with pytest.raises(ContentMismatch):
        await store.read(digest_of(b"four"), limit=3)
    with pytest.raises(ContentMismatch):
        await store.put_bytes(DIGEST, b"four")
    assert await store.has(DIGEST) is None


async def test_the_sweep_takes_old_partials_that_nobody_writes(
    store: OciLayoutStore, root: Path
) -> None:
    names = {"old": 1, "busy": 1, "new": 0}
    for name, age in names.items():
        path = root / "partial" / f"{name}.{DIGEST[7:]}"
        path.write_bytes(b"x" * 100)
        os.utime(path, (0, 0) if age else None)
    with (root / "partial" / f"busy.{DIGEST[7:]}").open("rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        assert await store.sweep_partials(timedelta(hours=1)) == 100
    assert sorted(partials(root)) == sorted(f"{name}.{DIGEST[7:]}" for name in ("busy", "new"))


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of somebody whom the modes of files hold back, which they do not do to root."""
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        root = os.geteuid() == 0
        if root:
            os.chown(folder, 65534, 65534)
            os.seteuid(65534)
        try:
            yield Path(folder)
        finally:
            if root:
                os.seteuid(0)


async def test_the_sweep_takes_what_was_sealed_when_somebody_fell(as_nobody: Path) -> None:
    store = OciLayoutStore(as_nobody)
    path = as_nobody / "partial" / "put-abc"
    path.write_bytes(b"sealed")
    path.chmod(0o440)
    os.utime(path, (0, 0))
    assert await store.sweep_partials(timedelta(hours=1)) == 6
    assert partials(as_nobody) == {}


async def test_what_others_leave_in_the_folders_is_nothing_of_ours(
    store: OciLayoutStore, root: Path
) -> None:
    await store.put_bytes(digest_of(b"ours"), b"ours")
    (root / "blobs" / "sha256" / ".nfs0001").write_bytes(b"theirs")
    (root / "blobs" / "sha256" / "lost+found").mkdir()
    (root / "partial" / "lost+found").mkdir()
    assert await store.digests() == [digest_of(b"ours")]
    assert await store.sweep_partials(timedelta(days=-1)) == 0
    assert await store.has(digest_of(b"ours")) == 4


async def test_names_are_put_replaced_and_dropped(store: OciLayoutStore, root: Path) -> None:
    one, two = digest_of(b"one"), digest_of(b"two")
    await store.put_bytes(one, b"one")
    await store.put_bytes(two, b"two")
    await store.tag("a", one, "t")
    await store.tag("b", one, "t")
    await OciLayoutStore(root).tag("a", two, "t")
    assert await store.tags() == {"a": two, "b": one}
    await store.untag("b")
    await store.untag("unknown")
    assert await store.tags() == {"a": two}
    with pytest.raises(BlobMissing):
        await store.tag("c", DIGEST, "t")


async def test_names_given_at_once_are_all_kept(store: OciLayoutStore) -> None:
    await store.put_bytes(DIGEST, DATA)
    await asyncio.gather(*(store.tag(f"n{n}", DIGEST, "t") for n in range(30)))
    assert set(await store.tags()) == {f"n{n}" for n in range(30)}


async def test_the_disk_says_what_is_free(store: OciLayoutStore, root: Path) -> None:
    disk = os.statvfs(root)
    assert 0 < await store.free() <= disk.f_blocks * disk.f_frsize


@contextmanager
def _largest_file(size: int) -> Iterator[None]:
    """As full as a disk can be made without being root: no file may grow larger."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
