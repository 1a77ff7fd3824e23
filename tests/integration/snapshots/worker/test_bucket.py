"""Snapshots whose bytes are in a bucket: brought there, found there, gone from there."""

from pathlib import Path

import pytest

from chassis.sealing import Keys
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.store.bucket import BucketStore
from services.snapshots.store.digests import digest_of
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.store.port import StoreAway
from services.snapshots.worker.garbage import Garbage
from services.snapshots.worker.settings import WorkerSettings
from services.snapshots.worker.stores import store_of
from tests.images import image
from tests.integration.snapshots.worker.house import House
from tests.registry import Registry
from tests.storage import running_storage


def _settings(folder: Path, **more: str) -> WorkerSettings:
    told = {"database_url": "postgresql://", "identity_file": "/", "orgs_target": "unix:/o"}
    keys = Keys("", {}).renewed().dump()
    return WorkerSettings.model_validate(
        {**told, "store_path": folder, "encryption_keys": keys, **more}
    )


async def test_an_image_is_kept_in_a_bucket_and_leaves_it(house: House, registry: Registry) -> None:
    made = image(seed=81)
    digest = registry.push("bucket", "1", made)
    wanted = {digest, *(blob.digest for blob in made.blobs)}
    with running_storage() as (_, contexts):
        store = store_of(_settings(house.root, store_bucket=contexts.bucket), contexts)
        assert isinstance(store, BucketStore)
        house.store = store  # type: ignore[assignment]  # any store will do
        house.garbage = Garbage(house.database.sessions, store)
        mine = house.organization()
        async with house.worker(registry.host):
            snapshot = await mine.create(f"{registry.host}/bucket:1")
            await mine.until(snapshot, "active")
            assert set(await store.digests()) == wanted
            assert [await store.verify(d) for d in wanted] == [True] * len(wanted)
            # Nothing but what is on its way is on the disk.
            assert (house.files(), house.partials()) == (set(), {})
            await house.garbage.sweep()
            assert set(await store.digests()) == wanted
            await mine.delete(snapshot)

            async def gone() -> bool:
                return not await store.digests()

            await house.until(gone)


async def test_a_storage_that_is_away_is_waited_for(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    digest = digest_of(b"garbage")
    with running_storage() as (_, contexts):
        store = store_of(_settings(house.root, store_bucket=contexts.bucket), contexts)
        await store.put_bytes(digest, b"garbage")
    for asked in (store.has(digest), store.read(digest, limit=9), store.digests(), store.tags()):
        with pytest.raises(StoreAway):
            await asked
    await house.rows("INSERT INTO blobs VALUES (:digest, 7) RETURNING digest", digest=digest)
    await house.rows("INSERT INTO garbage VALUES (:digest) RETURNING digest", digest=digest)
    house.store = store  # type: ignore[assignment]  # any store will do
    house.garbage = Garbage(house.database.sessions, store)

    async def said() -> bool:
        return "the upkeep has to wait: StoreAway" in caplog.text

    async with house.worker():
        await house.until(said, seconds=60)
    assert [row.digest for row in await house.rows("SELECT digest FROM garbage")] == [digest]


def test_the_disk_is_the_store_unless_a_bucket_is_named(tmp_path: Path) -> None:
    nowhere = ContextsSettings.model_construct(endpoint="")
    assert isinstance(store_of(_settings(tmp_path), nowhere), OciLayoutStore)
    with pytest.raises(ValueError, match="SNAPSHOTS_CONTEXTS_ENDPOINT"):
        store_of(_settings(tmp_path, store_bucket="b"), nowhere)
