"""Credentials for the installation's own registry: for whom, for how long, and what they are changed into."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from google.protobuf.timestamp_pb2 import Timestamp
from grpc import StatusCode
from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from chassis.grpc.caller import Caller
from deploy.local.operator import make_registry_key
from deploy.local.registry import CERTIFICATE, KEY
from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_service_pb2, region_pb2
from ratoon.snapshots.v1 import registry_service_pb2 as pb
from services.snapshots import events
from services.snapshots.commands import grants, retirement
from services.snapshots.domain.credentials import Credential
from services.snapshots.images.credentials import OwnCredentials, OwnRegistry
from services.snapshots.registries.pushed import Pushed
from services.snapshots.registries.tokens import PushAccess, TokenSigner
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import World, a_world, refused

HOST = "registry.example:5000"


class _LargeHeaders(JWSRegistry):
    """The certificate is in the header."""

    max_header_length = 4_096


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("secrets")
    make_registry_key(folder)
    return folder


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Pushed:
    return Pushed(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
async def world(
    make_database: MakeDatabase, keyring: Keyring, secrets: Path, pushed: Pushed
) -> AsyncIterator[World]:
    url = await make_database("services.snapshots")
    signer = TokenSigner(secrets / KEY, secrets / CERTIFICATE)
    access = PushAccess(HOST, signer, pushed, limit_bytes=1_000)
    with TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder), access=access) as world:
            yield world


@pytest.fixture
def organization() -> str:
    return str(uuid4())


async def _access(
    world: World, organization: str, *, region: str = "", user: str = "ada", key: str = ""
) -> pb.IssuePushAccessResponse:
    caller = Caller(
        credential="api_key" if key else "oidc",
        user_id=user,
        api_key_id=key,
        organization_id=organization,
        organization_role="member",
        permissions=frozenset({"write:snapshots"}),
    )
    request = pb.IssuePushAccessRequest(organization_id=organization, region_id=region)
    metadata = world.keyring.metadata(caller)
    answer: pb.IssuePushAccessResponse = await world.registries.IssuePushAccess(
        request, metadata=metadata
    )
    return answer


async def _token(
    world: World, username: str, secret: str, *scopes: str, machine: str = "gateway"
) -> pb.IssueRegistryTokenResponse:
    request = pb.IssueRegistryTokenRequest(username=username, secret=secret, scopes=scopes)
    metadata = world.keyring.identity(machine).metadata()
    answer: pb.IssueRegistryTokenResponse = await world.registries.IssueRegistryToken(
        request, metadata=metadata
    )
    return answer


def _claims(secrets: Path, token: str) -> dict[str, Any]:
    """Return what a token says that the certificate's key has signed, and that shows this certificate."""
    key = ECKey.import_key((secrets / KEY).read_bytes())
    read = jwt.decode(token, key, algorithms=["ES256"], registry=_LargeHeaders())
    [shown] = read.header["x5c"]
    trusted = x509.load_pem_x509_certificate((secrets / CERTIFICATE).read_bytes())
    assert x509.load_der_x509_certificate(base64.b64decode(shown)) == trusted
    claims: dict[str, Any] = read.claims
    return claims


async def test_a_credential_becomes_a_token_for_the_own_project(
    world: World, organization: str, secrets: Path
) -> None:
    given = await _access(world, organization, region="eu")
    assert (given.registry_url, given.project) == (HOST, organization)
    mine, theirs = f"repository:{organization}/x:pull,push,delete", f"repository:{uuid4()}/x:pull"
    answer = await _token(world, given.username, given.secret, mine, theirs)
    claims = _claims(secrets, answer.token)
    assert claims["access"] == [
        {"type": "repository", "name": f"{organization}/x", "actions": ["pull", "push"]}
    ]
    assert (claims["iss"], claims["aud"]) == ("ratoon", "ratoon-registry")
    assert claims["exp"] - claims["iat"] == answer.expires_in == 300
    assert given.expire_time.seconds - answer.issue_time.seconds in range(3590, 3601)
    bare = await _token(world, given.username, given.secret)
    assert _claims(secrets, bare.token)["access"] == []


async def test_no_token_outlives_its_credential(
    world: World, organization: str, secrets: Path
) -> None:
    given = await _access(world, organization)
    await world.database.pool.execute(
        "UPDATE push_grants SET expires_at = now() + interval '100 seconds' WHERE id = $1",
        UUID(given.username),
    )
    answer = await _token(world, given.username, given.secret)
    assert answer.expires_in in range(80, 101)
    await world.database.pool.execute(
        "UPDATE push_grants SET expires_at = now() WHERE id = $1", UUID(given.username)
    )
    async with refused("PUSH_CREDENTIAL_INVALID", StatusCode.UNAUTHENTICATED):
        await _token(world, given.username, given.secret)
    await grants.purge(world.database.sessions)
    left = await world.database.pool.fetch("SELECT 1 FROM push_grants WHERE expires_at <= now()")
    assert left == []


async def test_what_is_not_right_opens_nothing(world: World, organization: str) -> None:
    given, other = await _access(world, organization), await _access(world, str(uuid4()))
    wrong = [
        (given.username, other.secret),
        (given.username, ""),
        (str(uuid4()), given.secret),
        ("", given.secret),
        ("no id", given.secret),
    ]
    for username, secret in wrong:
        async with refused("PUSH_CREDENTIAL_INVALID", StatusCode.UNAUTHENTICATED):
            await _token(world, username, secret)
    async with refused("SERVICE_REFUSED", StatusCode.PERMISSION_DENIED):
        await _token(world, given.username, given.secret, machine="orgs")


async def test_whoever_has_pushed_as_much_as_may_be_there_is_given_nothing_more(
    world: World, pushed: Pushed, organization: str
) -> None:
    root = pushed.root / "docker" / "registry" / "v2"
    digest = "a" * 64
    for name in (organization, str(uuid4())):
        link = root / "repositories" / name / "app" / "_layers" / "sha256" / digest / "link"
        link.parent.mkdir(parents=True)
        link.touch()
    data = root / "blobs" / "sha256" / "aa" / digest / "data"
    data.parent.mkdir(parents=True)
    data.write_bytes(bytes(999))
    await _access(world, organization)
    data.write_bytes(bytes(1_000))
    async with refused("PUSH_LIMIT_REACHED", StatusCode.FAILED_PRECONDITION):
        await _access(world, organization)
    await _access(world, str(uuid4()))


async def test_a_secret_is_kept_nowhere(world: World, organization: str) -> None:
    given = await _access(world, organization)
    for table in ("push_grants", "outbox"):
        for row in await world.database.pool.fetch(f"SELECT t::text AS t FROM {table} AS t"):
            assert given.secret not in row["t"]
            assert given.secret.encode().hex() not in row["t"]


async def test_who_asked_is_told_to_the_audit_log(world: World, organization: str) -> None:
    given = await _access(world, organization)
    rows = await world.database.pool.fetch(
        "SELECT payload, origin FROM outbox WHERE type = 'audited' AND organization_id = $1",
        organization,
    )
    [told] = [json.loads(row["payload"]) for row in rows]
    assert (told["action"], told["target_type"]) == ("read", "docker_registry")
    assert told["target_id"] == given.registry_id
    assert json.loads(told["metadata"])["body"]["project"] == organization
    assert json.loads(rows[0]["origin"])["user_id"] == "ada"


@pytest.mark.parametrize(
    ("revoked", "left"),
    [
        ({"api_key_id": "k1"}, {"k2", "ada", "bob"}),
        ({"user_id": "ada"}, {"bob"}),
        ({"user_id": "ada", "organization_id": "*"}, {"bob"}),
        (
            {"user_id": "ada", "organization_id": "00000000-0000-4000-8000-00000000dead"},
            {"k1", "k2", "ada", "bob"},
        ),
        ({"organization_id": "*"}, set()),
    ],
)
async def test_it_ends_with_whatever_it_was_given_for(
    world: World, organization: str, revoked: dict[str, str], left: set[str]
) -> None:
    given = {
        "k1": await _access(world, organization, key="k1"),
        "k2": await _access(world, organization, key="k2"),
        "ada": await _access(world, organization),
        "bob": await _access(world, organization, user="bob"),
    }
    own = OwnCredentials(world.database.sessions, world.ring, OwnRegistry(HOST, timedelta(hours=1)))
    pull = await own.of(UUID(organization), f"{HOST}/{organization}/x:1")
    said = {k: organization if v == "*" else v for k, v in revoked.items()}
    event = event_pb2.Event(create_time=Timestamp(), caller_revoked=event_pb2.CallerRevoked(**said))
    async with world.database.sessions.begin() as session:
        await events.from_auth(session, event)
    rows = await world.database.pool.fetch(
        "SELECT id::text AS id FROM push_grants WHERE organization_id = $1", UUID(organization)
    )
    there = {row["id"] for row in rows}
    assert pull is not None
    # What a pull needs ends with the pull.
    assert pull.username in there
    assert {name for name, one in given.items() if one.username in there} == left


async def test_a_deleted_organization_has_none(world: World, organization: str) -> None:
    given = await _access(world, organization)
    async with world.database.sessions.begin() as session:
        await retirement.close_organization(session, UUID(organization))
    async with refused("PUSH_CREDENTIAL_INVALID"):
        await _token(world, given.username, given.secret)


async def test_there_are_a_hundred_at_most_and_the_oldest_goes(
    world: World, organization: str
) -> None:
    first = await _access(world, organization)
    for _ in range(4):
        await asyncio.gather(*(_access(world, organization) for _ in range(25)))
    last = await _access(world, organization)
    rows = await world.database.pool.fetch(
        "SELECT id FROM push_grants WHERE organization_id = $1", UUID(organization)
    )
    assert len(rows) == 100
    async with refused("PUSH_CREDENTIAL_INVALID"):
        await _token(world, first.username, first.secret)
    await _token(world, last.username, last.secret)


async def test_a_region_must_be_the_organizations(world: World, organization: str) -> None:
    dedicated = organization_service_pb2.RegionLimits(
        region_id="own", type=region_pb2.REGION_TYPE_CUSTOM, available=True
    )
    closed = organization_service_pb2.RegionLimits(
        region_id="closed", type=region_pb2.REGION_TYPE_SHARED, available=False
    )
    world.orgs.answers[organization] = limits(regions=(dedicated, closed))
    await _access(world, organization, region="own")
    async with refused("REGION_NOT_FOUND", StatusCode.NOT_FOUND):
        await _access(world, organization, region="theirs_x1y2")
    async with refused("REGION_FORBIDDEN", StatusCode.PERMISSION_DENIED):
        await _access(world, organization, region="closed")


async def test_a_suspended_organization_pushes_nothing(world: World, organization: str) -> None:
    said = limits()
    said.suspension.reason = "unpaid"
    said.suspension.time.GetCurrentTime()
    world.orgs.answers[organization] = said
    async with refused("ORGANIZATION_SUSPENDED", StatusCode.PERMISSION_DENIED):
        await _access(world, organization)


async def test_a_pull_may_read_the_own_project_alone(
    world: World, organization: str, secrets: Path
) -> None:
    own = OwnCredentials(world.database.sessions, world.ring, OwnRegistry(HOST, timedelta(hours=2)))
    me = UUID(organization)
    found = await own.of(me, f"{HOST}/{organization}/x:1")
    assert isinstance(found, Credential)
    assert found.host == HOST
    asked = f"repository:{organization}/x:pull,push"
    answer = await _token(world, found.username, found.secret, asked)
    [access] = _claims(secrets, answer.token)["access"]
    assert access["actions"] == ["pull"]
    for image in (f"{HOST}/{uuid4()}/x:1", f"{HOST}/{organization}x/y:1", f"{HOST}/x:1"):
        assert await own.of(me, image) is None


async def test_without_a_registry_there_is_nothing_to_push_to(
    make_database: MakeDatabase, keyring: Keyring, organization: str
) -> None:
    url = await make_database("services.snapshots")
    with TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder)) as bare:
            async with refused("PUSH_REGISTRY_UNAVAILABLE", StatusCode.UNAVAILABLE):
                await _access(bare, organization)
            async with refused("PUSH_REGISTRY_UNAVAILABLE", StatusCode.UNAVAILABLE):
                await _token(bare, str(uuid4()), "x")
