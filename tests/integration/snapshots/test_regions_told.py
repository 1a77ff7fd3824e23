"""The feed says where snapshots are kept: others count by it what a region holds."""

import msgspec

from tests.integration.snapshots.world import World


async def test_a_snapshot_tells_its_regions_when_it_comes_and_when_it_goes(world: World) -> None:
    me = world.member()
    made = await me.active()
    by_digest = await me.create("same", "alpine@sha256:" + "a" * 64)
    for each in (made, by_digest):
        await me.delete(each.id)
    await world.erase_all()
    rows = await world.database.pool.fetch(
        "SELECT type, payload::text AS payload FROM outbox WHERE organization_id = $1"
        " AND type IN ('snapshot_created', 'snapshot_removed') ORDER BY id",
        me.organization,
    )
    told = [(r["type"], msgspec.json.decode(r["payload"])) for r in rows]
    assert [(t, p["region_ids"]) for t, p in told] == [
        *([("snapshot_created", ["eu"])] * 2),
        *([("snapshot_removed", ["eu"])] * 2),
    ]
    assert [p["name"] for _, p in told[:2]] == ["base", "same"]
