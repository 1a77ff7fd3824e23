"""Keys and machines, turned into callers."""

import logging
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from chassis.permissions import ALL, READ_SCOPES
from ratoon.access.v1 import access_pb2
from tests.integration.auth.conftest import HEALTH, World, refusal

OWNER, MEMBER = access_pb2.ORGANIZATION_ROLE_OWNER, access_pb2.ORGANIZATION_ROLE_MEMBER
INVALID = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
FORBIDDEN = (grpc.StatusCode.PERMISSION_DENIED, "ORGANIZATION_FORBIDDEN")
AWAY = (grpc.StatusCode.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE")


async def test_an_account_key_acts_in_the_personal_organization_when_none_is_named(
    world: World,
) -> None:
    added, personal = await world.add_user("Ada@Example.org", name="Ada")
    answer = await world.authenticate(added.secret)
    caller = answer.caller
    assert caller.credential == access_pb2.CREDENTIAL_KIND_API_KEY
    assert (caller.user_id, caller.email, caller.email_verified) == (
        added.user.id,
        "Ada@Example.org",
        True,
    )
    assert (caller.organization_id, caller.organization_role) == (personal, OWNER)
    assert set(caller.permissions) == ALL
    assert caller.account_key
    assert caller.system_role == access_pb2.SYSTEM_ROLE_UNSPECIFIED
    assert (caller.api_key_prefix, caller.api_key_suffix) == ("dtn", added.secret[-3:])
    assert answer.api_key.id == caller.api_key_id
    assert answer.api_key.organization_id == ""
    verified = world.verifier.verify(answer.token)
    assert (verified.user_id, verified.organization_id) == (added.user.id, personal)
    assert (verified.permissions, verified.account_key) == (ALL, True)
    assert verified.api_key_id == caller.api_key_id


async def test_an_account_key_chooses_by_path_then_header(world: World) -> None:
    added, _ = await world.add_user()
    by_path = world.orgs.organization("somebody", **{added.user.id: ("write:snapshots",)})
    by_header = world.orgs.organization(added.user.id)
    both = (await world.authenticate(added.secret, path=by_path, header=by_header)).caller
    assert (both.organization_id, both.organization_role) == (by_path, MEMBER)
    assert set(both.permissions) == {"write:snapshots"} | READ_SCOPES
    one = (await world.authenticate(added.secret, header=by_header.upper())).caller
    assert (one.organization_id, one.organization_role) == (by_header, OWNER)


async def test_an_account_key_enters_nowhere_uninvited(world: World) -> None:
    added, _ = await world.add_user()
    foreign = world.orgs.organization("somebody")
    for hint in (foreign, "00000000-0000-4000-8000-000000000000", "x", "a\0b", "' OR 1"):
        assert await refusal(world.authenticate(added.secret, path=hint)) == FORBIDDEN
        assert await refusal(world.authenticate(added.secret, header=hint)) == FORBIDDEN


async def test_an_ordinary_key_acts_in_its_organization_whatever_the_header_says(
    world: World,
) -> None:
    added, personal = await world.add_user()
    other = world.orgs.organization(added.user.id)
    made = await world.create_key(world.owner(added.user.id, other), other)
    for header in ("", personal, "x"):
        caller = (await world.authenticate(made.secret, header=header)).caller
        assert (caller.organization_id, caller.account_key) == (other, False)
    assert (await world.authenticate(made.secret, path=other)).caller.organization_id == other
    assert await refusal(world.authenticate(made.secret, path=personal)) == FORBIDDEN
    assert await refusal(world.authenticate(made.secret, path="x", header=other)) == FORBIDDEN


async def test_a_key_may_what_it_lists_as_far_as_its_holder_may_now(world: World) -> None:
    added, _ = await world.add_user()
    user = added.user.id
    organization = world.orgs.organization("boss", **{user: ("write:snapshots", "read:limits")})
    me = world.person(user, organization, "member", {"write:snapshots", "read:limits"})
    made = await world.create_key(me, organization, permissions=["write:snapshots"])
    bare = await world.create_key(me, organization)

    async def may(secret: str) -> list[str]:
        return list((await world.authenticate(secret)).caller.permissions)

    assert await may(made.secret) == ["write:snapshots"]
    assert await may(bare.secret) == []
    world.orgs.members[user, organization] = ("member", ("read:limits",))
    assert await may(made.secret) == []
    world.orgs.members[user, organization] = ("owner", ())
    assert await may(made.secret) == ["write:snapshots"]
    assert await may(bare.secret) == []


async def test_the_key_of_somebody_who_left_is_forbidden(world: World) -> None:
    added, _ = await world.add_user()
    organization = world.orgs.organization(added.user.id)
    made = await world.create_key(world.owner(added.user.id, organization), organization)
    del world.orgs.members[added.user.id, organization]
    assert await refusal(world.authenticate(made.secret)) == FORBIDDEN


async def test_power_over_the_installation_needs_a_key_made_with_it(world: World) -> None:
    added, personal = await world.add_user(system_admin=True)
    admin = access_pb2.SYSTEM_ROLE_ADMIN
    assert (await world.authenticate(added.secret)).caller.system_role == admin
    made = await world.create_key(
        world.owner(added.user.id, personal), personal, permissions=sorted(ALL)
    )
    answer = await world.authenticate(made.secret)
    assert answer.caller.system_role == access_pb2.SYSTEM_ROLE_UNSPECIFIED
    assert not world.verifier.verify(answer.token).system_admin
    await world.database.pool.execute(
        "UPDATE users SET system_role = 'user' WHERE id = $1", added.user.id
    )
    demoted = await world.authenticate(added.secret)
    assert demoted.caller.system_role == access_pb2.SYSTEM_ROLE_UNSPECIFIED


async def test_an_expired_key_is_a_bad_key_and_no_token_outlives_its_key(world: World) -> None:
    added, personal = await world.add_user()
    soon = Timestamp()
    soon.FromDatetime(datetime.now(UTC) + timedelta(seconds=20))
    made = await world.create_key(world.owner(added.user.id, personal), personal, expire_time=soon)
    answer = await world.authenticate(made.secret)
    assert abs(answer.expire_time.ToNanoseconds() - soon.ToNanoseconds()) < 10_000
    await world.database.pool.execute(
        "UPDATE api_keys SET expires_at = now() WHERE id = $1::text::uuid", made.api_key.id
    )
    assert await refusal(world.authenticate(made.secret)) == INVALID


@pytest.mark.parametrize(
    "credential",
    [
        *("", " ", "dtn_", "dtn_" + "0" * 64, "x" * 100_000, "a\0b", "é", "Bearer dtn_x"),
        *("eyJhbGciOiJub25lIn0.eyJzdWIiOiJyYXRvb24tYWRtaW4ifQ.", HEALTH[:-1], HEALTH + "x"),
    ],
)
async def test_what_is_no_credential_is_refused_alike(world: World, credential: str) -> None:
    assert await refusal(world.authenticate(credential)) == INVALID


async def test_secrets_are_compared_whole_and_exactly(world: World) -> None:
    added, _ = await world.add_user()
    for other in (added.secret.upper(), added.secret[:-1], added.secret + " ", added.secret[4:]):
        assert await refusal(world.authenticate(other)) == INVALID


async def test_a_machine_is_a_caller_without_a_person(world: World) -> None:
    answer = await world.authenticate(HEALTH)
    assert answer.caller.credential == access_pb2.CREDENTIAL_KIND_SERVICE
    assert (answer.caller.service, answer.caller.user_id) == ("health-check", "")
    assert not answer.HasField("api_key")
    assert world.verifier.verify(answer.token).service == "health-check"
    assert not world.orgs.resolved


async def test_while_orgs_is_away_nobody_is_told_that_he_may_not(world: World) -> None:
    added, personal = await world.add_user()
    made = await world.create_key(world.owner(added.user.id, personal), personal)
    world.orgs.away = True
    assert await refusal(world.authenticate(added.secret)) == AWAY
    assert await refusal(world.authenticate(made.secret)) == AWAY
    assert await refusal(world.authenticate("dtn_x")) == INVALID
    world.orgs.away = False
    await world.orgs_server.stop()
    assert await refusal(world.authenticate(made.secret)) == AWAY
    await world.orgs_server.start()
    assert (await world.authenticate(made.secret)).caller.organization_id == personal


async def test_only_the_gateway_may_ask(world: World) -> None:
    for machine in ("orgs", "snapshots", "operator"):
        stub, request = world.authentication.Authenticate, world.request("x")
        code, reason = await refusal(stub(request, metadata=world.by(machine)))
        assert (code, reason) == (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_REFUSED")
    assert (await refusal(world.authentication.Authenticate(world.request("x"))))[1] == (
        "CALLER_TOKEN_INVALID"
    )


async def test_no_credential_is_ever_logged(world: World, caplog: pytest.LogCaptureFixture) -> None:
    added, personal = await world.add_user()
    caplog.set_level(logging.DEBUG)
    await world.authenticate(added.secret)
    await refusal(world.authenticate("dtn_unknown"))
    made = await world.create_key(world.owner(added.user.id, personal), personal)
    await world.database.pool.execute("ALTER TABLE api_keys RENAME TO hidden")
    code, reason = await refusal(world.authenticate(made.secret))
    assert (code, reason) == (grpc.StatusCode.INTERNAL, "")
    assert "Authenticate failed" in caplog.text
    for secret in (added.secret, made.secret, "dtn_unknown"):
        assert secret not in caplog.text
