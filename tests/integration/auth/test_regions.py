"""Machines of customers' regions, whose secrets orgs knows."""

import time

import grpc
import pytest

from chassis.secrets import fresh
from ratoon.access.v1 import access_pb2
from ratoon.orgs.v1 import region_service_pb2
from services.auth.domain.api_keys import digest
from tests.integration.auth.conftest import World, refusal

UNKNOWN = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
AWAY = (grpc.StatusCode.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE")
PROXY = region_service_pb2.REGION_CREDENTIAL_KIND_PROXY
SSH = region_service_pb2.REGION_CREDENTIAL_KIND_SSH_GATEWAY
REGISTRY = region_service_pb2.REGION_CREDENTIAL_KIND_SNAPSHOT_MANAGER


def _held(world: World, kind: region_service_pb2.RegionCredentialKind.ValueType) -> str:
    secret = fresh()
    world.orgs.region_secrets[digest(secret)] = kind
    return secret


@pytest.mark.parametrize(("kind", "name"), [(PROXY, "region-proxy"), (SSH, "region-ssh-gateway")])
async def test_a_machine_of_a_region_is_one_and_may_nothing_yet(
    world: World, kind: region_service_pb2.RegionCredentialKind.ValueType, name: str
) -> None:
    answer = await world.authenticate(_held(world, kind))
    assert answer.caller.credential == access_pb2.CREDENTIAL_KIND_SERVICE
    assert (answer.caller.service, answer.caller.user_id, answer.caller.organization_id) == (
        name,
        "",
        "",
    )
    assert not answer.HasField("api_key")
    call = world.authentication.Authenticate(
        world.request("x"), metadata=(("ratoon-caller", answer.token),)
    )
    assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "SERVICE_REFUSED")


async def test_a_registry_calls_nobody(world: World) -> None:
    assert await refusal(world.authenticate(_held(world, REGISTRY))) == UNKNOWN


async def test_a_secret_that_was_replaced_is_refused_at_once(world: World) -> None:
    secret = _held(world, PROXY)
    answer = await world.authenticate(secret)
    # Gateways keep no answer that ends so soon.
    assert answer.expire_time.seconds - time.time() < 15
    world.orgs.region_secrets.clear()
    assert await refusal(world.authenticate(secret)) == UNKNOWN


async def test_only_what_can_be_a_secret_of_ours_is_asked_for(world: World) -> None:
    for other in ("dtn_x", "x", "dtn_" + "G" * 64, fresh() + "0", fresh().upper()):
        assert await refusal(world.authenticate(other)) == UNKNOWN
    assert world.orgs.region_questions == 0
    added, _ = await world.add_user()
    await world.authenticate(added.secret)
    assert world.orgs.region_questions == 0
    assert await refusal(world.authenticate(fresh())) == UNKNOWN
    assert world.orgs.region_questions == 1


async def test_while_orgs_is_away_strangers_are_strangers_and_known_machines_wait(
    world: World,
) -> None:
    known, unseen = _held(world, PROXY), _held(world, PROXY)
    await world.authenticate(known)
    world.orgs.away = True
    assert await refusal(world.authenticate(known)) == AWAY
    for secret in (unseen, fresh()):
        assert await refusal(world.authenticate(secret)) == UNKNOWN
    world.orgs.away = False
    await world.authenticate(known)
    world.orgs.region_secrets.clear()
    assert await refusal(world.authenticate(known)) == UNKNOWN
    world.orgs.away = True
    assert await refusal(world.authenticate(known)) == UNKNOWN
