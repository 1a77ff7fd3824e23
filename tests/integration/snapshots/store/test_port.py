"""What any store promises: the one on a disk and the one in a bucket are asked the same."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from services.snapshots.contexts.contexts import bucket_of
from services.snapshots.store.bucket import BucketStore
from services.snapshots.store.digests import InvalidDigest, digest_of
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.store.port import (
    BlobMissing,
    BlobTruncated,
    ContentMismatch,
    Source,
    Store,
)
from tests.storage import running_storage

# More than one part of what is sent in parts.
DATA = Random(6).randbytes(9_500_000)
DIGEST = digest_of(DATA)
Make = Callable[[], Store]


@pytest.fixture(scope="module", params=["a disk", "a bucket"])
def make(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Make]:
    """Give what opens one store again and again, as processes do."""
    root: Path = tmp_path_factory.mktemp("store")
    if request.param == "a disk":
        yield lambda: OciLayoutStore(root)
        return
    with running_storage() as (_, settings):
        yield lambda: BucketStore(bucket_of(settings), OciLayoutStore(root))


@pytest.fixture
async def store(make: Make) -> Store:
    made = make()
    for name in await made.tags():
        await made.untag(name)
    for digest in await made.digests():
        await made.remove(digest)
    await made.sweep_partials(timedelta(days=-1))
    return made


def source(data: bytes, *, offsets: list[int] | None = None) -> Source:
    async def read(offset: int) -> AsyncGenerator[bytes, None]:
        if offsets is not None:
            offsets.append(offset)
        for start in range(offset, len(data), 900_000):
            yield data[start : start + 900_000]
            await asyncio.sleep(0)

    return read


async def test_a_blob_is_there_whole_for_every_process(store: Store, make: Make) -> None:
    await store.write_blob(DIGEST, len(DATA), source(DATA), owner="o")
    for one in (store, make()):
        assert await one.has(DIGEST) == len(DATA)
        assert await one.verify(DIGEST)
        assert await one.read(DIGEST, limit=len(DATA)) == DATA
        assert await one.digests() == [DIGEST]
        assert await one.usage() == len(DATA)
        with await one.open(DIGEST) as file:
            assert file.read() == DATA
    assert await store.free() > 0


async def test_an_empty_blob_is_a_blob(store: Store) -> None:
    await store.write_blob(digest_of(b""), 0, source(b""), owner="o")
    assert await store.has(digest_of(b"")) == 0
    assert await store.verify(digest_of(b""))


async def test_an_interrupted_write_shows_nothing_and_goes_on(store: Store, make: Make) -> None:
    with pytest.raises(BlobTruncated):
        await store.write_blob(DIGEST, len(DATA), source(DATA[:4_234_567]), owner="o")
    assert await store.has(DIGEST) is None
    assert await store.digests() == []
    offsets: list[int] = []
    await make().write_blob(DIGEST, len(DATA), source(DATA, offsets=offsets), owner="o")
    assert offsets == [4_234_567]
    assert await store.verify(DIGEST)


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"!", DATA + b"!"], ids=["other", "longer"])
async def test_wrong_bytes_are_never_seen(store: Store, wrong: bytes) -> None:
    with pytest.raises(ContentMismatch):
        await store.write_blob(DIGEST, len(DATA), source(wrong), owner="o")
    assert await store.has(DIGEST) is None
    assert await store.usage() == 0


async def test_writers_at_once_leave_one_blob(store: Store, make: Make) -> None:
    writes = [
        one.write_blob(DIGEST, len(DATA), source(DATA), owner=owner)
        for one in (store, make())
        for owner in ("one", "two")
    ]
    await asyncio.gather(*writes)
    assert await store.verify(DIGEST)
    assert await store.usage() == len(DATA)


async def test_a_source_is_read_though_the_blob_is_here(store: Store) -> None:
    """Who cannot fetch it may not use it."""
    await store.put_bytes(DIGEST, DATA)
    offsets: list[int] = []
    await store.write_blob(DIGEST, len(DATA), source(DATA, offsets=offsets), owner="o")
    assert offsets == [0]
    with pytest.raises(BlobTruncated):
        await store.write_blob(DIGEST, len(DATA), source(b""), owner="p")


@pytest.mark.parametrize("digest", ["", "../../x", "sha256:" + "a" * 63, "sha256:" + "A" * 64])
async def test_only_digests_name_blobs(store: Store, digest: str) -> None:
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


@pytest.mark.parametrize("owner", ["", "../x", "a/b", "x" * 65])
async def test_only_plain_words_name_owners(store: Store, owner: str) -> None:
    with pytest.raises(ValueError, match="owner"):
        await store.write_blob(DIGEST, len(DATA), source(DATA), owner=owner)


async def test_a_blob_is_removed_under_who_reads_it(store: Store) -> None:
    await store.put_bytes(DIGEST, DATA)
    with await store.open(DIGEST) as file:
        await store.remove(DIGEST)
        assert file.read() == DATA
    await store.remove(DIGEST)
    assert await store.has(DIGEST) is None
    assert not await store.verify(DIGEST)
    for act in (store.read(DIGEST, limit=10), store.open(DIGEST)):
        with pytest.raises(BlobMissing):
            await act


async def test_small_reads_have_a_limit_and_small_writes_a_digest(store: Store) -> None:
    await store.put_bytes(digest_of(b"four"), b"four")
    assert await store.read(digest_of(b"four"), limit=4) == b"four"
    with pytest.raises(ContentMismatch):
        await store.read(digest_of(b"four"), limit=3)
    with pytest.raises(ContentMismatch):
        await store.put_bytes(DIGEST, b"four")
    assert await store.has(DIGEST) is None


async def test_what_nobody_went_on_with_goes(store: Store) -> None:
    with pytest.raises(BlobTruncated):
        await store.write_blob(DIGEST, len(DATA), source(DATA[:1_000_000]), owner="o")
    assert await store.usage() == 1_000_000
    assert await store.sweep_partials(timedelta(days=1)) == 0
    assert await store.sweep_partials(timedelta(days=-1)) == 1_000_000
    assert await store.usage() == 0


async def test_names_are_put_replaced_and_dropped(store: Store, make: Make) -> None:
    one, two = digest_of(b"one"), digest_of(b"two")
    await store.put_bytes(one, b"one")
    await store.put_bytes(two, b"two")
    names = ["plain", "a/b:1", "..", ".", "ä %2E ?#"]
    for name in names:
        await store.tag(name, one, "t")
    await make().tag("plain", two, "t")
    assert await store.tags() == dict.fromkeys(names, one) | {"plain": two}
    for name in (*names[1:], "unknown"):
        await store.untag(name)
    assert await store.tags() == {"plain": two}
    with pytest.raises(BlobMissing):
        await store.tag("c", DIGEST, "t")
