"""From a Dockerfile to a snapshot, by the real tools, with steps that are trusted."""

from tests.integration.snapshots.builder.shop import Shop


async def test_a_dockerfile_becomes_a_snapshot(shop: Shop) -> None:
    mine = shop.house.organization()
    text = f"""\
# syntax is ours
FROM {shop.base} AS first
RUN echo made > /tmp/made
from {shop.base}
COPY --from=first /tmp/made /made
RUN cat /made && \\
    echo seen
ENTRYPOINT ["sh", \\
  "-c", "exit"]
"""
    async with shop.builder():
        snapshot = await mine.build(text)
        assert await mine.state(snapshot) == "building"
        row = await mine.until(snapshot, "active", "build_failed", seconds=60)
        assert row.state == "active", await mine.log(snapshot)
    assert row.entrypoint == ["sh", "-c", "exit"]
    assert row.ref.startswith("daytona-")
    assert row.size_bytes > 0
    log = await mine.log(snapshot)
    assert "seen" in log
    await shop.house.check_at_rest()
    shop.check_nothing_left()
