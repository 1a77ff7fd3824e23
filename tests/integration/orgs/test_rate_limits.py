"""An organization's own limits of requests come with the membership."""

from tests.integration.orgs.conftest import House


async def test_own_limits_are_told_as_far_as_they_are_set(house: House) -> None:
    owner, personal = await house.person()
    for asked in (personal, ""):
        assert not (await house.resolve(owner, asked)).HasField("rate_limits")
    await house.database.pool.execute(
        "UPDATE organizations SET authenticated_rate_limit = 2, sandbox_create_rate_limit = 0,"
        " sandbox_lifecycle_rate_limit_ttl_seconds = 30 WHERE id = $1::uuid",
        personal,
    )
    for asked in (personal, ""):
        told = (await house.resolve(owner, asked)).rate_limits
        assert {field.name: value for field, value in told.ListFields()} == {
            "authenticated_rate_limit": 2,
            "sandbox_create_rate_limit": 0,
            "sandbox_lifecycle_rate_limit_ttl_seconds": 30,
        }
