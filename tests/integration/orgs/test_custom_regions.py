"""Regions of an organization's own: their names, addresses, secrets, and who may know of them."""

import asyncio
import hashlib
from typing import Any
from uuid import uuid4

import pytest

from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_service_pb2, region_pb2
from ratoon.orgs.v1 import region_service_pb2 as pb
from services.orgs.events import from_snapshots
from services.orgs.queries import regions
from tests.integration.orgs.conftest import House, Metadata, outcome, refusal

PROXY, SSH, MANAGER = "https://p.example", "ssh://s.example:2222", "https://m.example"
ALL = {"proxy_url": PROXY, "ssh_gateway_url": SSH, "snapshot_manager_url": MANAGER}
KINDS = {
    "proxy": pb.REGION_CREDENTIAL_KIND_PROXY,
    "ssh": pb.REGION_CREDENTIAL_KIND_SSH_GATEWAY,
    "manager": pb.REGION_CREDENTIAL_KIND_SNAPSHOT_MANAGER,
}
PERMISSIONS = frozenset({"write:regions", "delete:regions"})


class Tenant:
    """An owner and what the owner does with regions."""

    def __init__(self, house: House, user_id: str, organization: str) -> None:
        self.house = house
        self.user_id = user_id
        self.organization = organization

    def metadata(self, user_id: str = "", role: str = "owner") -> Metadata:
        who = user_id or self.user_id
        return self.house.as_user(who, self.organization, role, permissions=PERMISSIONS)

    async def create(
        self, name: str = "eu", *, user_id: str = "", key: str = "", **addresses: str
    ) -> pb.CreateRegionResponse:
        request = pb.CreateRegionRequest(
            organization_id=self.organization, name=name, request_id=key, **addresses
        )
        return await self.house.regions.CreateRegion(request, metadata=self.metadata(user_id))

    async def get(self, region_id: str) -> region_pb2.Region:
        request = pb.GetRegionRequest(organization_id=self.organization, region_id=region_id)
        answer = await self.house.regions.GetRegion(request, metadata=self.metadata())
        return answer.region

    async def listed(self) -> list[str]:
        request = pb.ListRegionsRequest(organization_id=self.organization)
        answer = await self.house.regions.ListRegions(request, metadata=self.metadata())
        return [r.id for r in answer.regions if r.type == region_pb2.REGION_TYPE_CUSTOM]

    async def update(self, region_id: str, **addresses: str) -> None:
        request = pb.UpdateRegionRequest(
            organization_id=self.organization, region_id=region_id, **addresses
        )
        await self.house.regions.UpdateRegion(request, metadata=self.metadata())

    async def delete(self, region_id: str) -> None:
        request = pb.DeleteRegionRequest(organization_id=self.organization, region_id=region_id)
        await self.house.regions.DeleteRegion(request, metadata=self.metadata())

    async def regenerate(self, region_id: str, kind: str) -> pb.RegionSecrets:
        request = pb.RegenerateRegionCredentialRequest(
            organization_id=self.organization, region_id=region_id, kind=KINDS[kind]
        )
        answer = await self.house.regions.RegenerateRegionCredential(
            request, metadata=self.metadata()
        )
        return answer.secrets

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        return await self.house.events(self.organization)


@pytest.fixture
async def tenant(house: House) -> Tenant:
    owner, _ = await house.person()
    return Tenant(house, owner, (await house.create(owner)).id)


async def _resolve(house: House, secret: str, machine: str = "auth") -> tuple[str, int]:
    request = pb.ResolveRegionCredentialRequest(digest=hashlib.sha256(secret.encode()).digest())
    answer = await house.regions.ResolveRegionCredential(
        request, metadata=house.as_machine(machine)
    )
    return answer.region_id, answer.kind


async def _tell(tenant: Tenant, *region_ids: str, removed: bool = False) -> None:
    event = event_pb2.Event(organization_id=tenant.organization)
    told = event.snapshot_removed if removed else event.snapshot_created
    told.region_ids.extend(region_ids)
    async with tenant.house.database.sessions.begin() as session:
        await from_snapshots(session, event)


async def test_a_region_is_made_with_a_secret_for_each_address(tenant: Tenant) -> None:
    made = await tenant.create("EU.west-1", **ALL, otel_endpoint="http://o.example:4318")
    region = made.region
    assert region.id.startswith("eu.west-1_")
    assert len(region.id) == len("eu.west-1_") + 4
    assert (region.name, region.organization_id) == ("EU.west-1", tenant.organization)
    assert region.type == region_pb2.REGION_TYPE_CUSTOM
    assert (region.proxy_url, region.ssh_gateway_url) == (PROXY, SSH)
    assert (region.snapshot_manager_url, region.otel_endpoint) == (MANAGER, "http://o.example:4318")
    secrets = made.secrets
    given = (
        secrets.proxy_api_key,
        secrets.ssh_gateway_api_key,
        secrets.snapshot_manager_password,
    )
    assert len(set(given)) == 3
    assert all(len(s) == 68 and s.startswith("dtn_") for s in given)
    assert secrets.snapshot_manager_username == "daytona"
    assert await tenant.get(region.id) == region
    assert await tenant.listed() == [region.id]
    limits = {r.region_id: r for r in (await tenant.house.limits(tenant.organization)).regions}
    assert limits[region.id].available
    for secret, kind in zip(given, KINDS.values(), strict=True):
        assert await _resolve(tenant.house, secret) == (region.id, kind)


async def test_no_address_no_secret(tenant: Tenant) -> None:
    made = await tenant.create()
    assert made.secrets == pb.RegionSecrets()
    assert (made.region.proxy_url, made.region.otel_endpoint) == ("", "")


async def test_no_secret_is_kept_in_the_clear(tenant: Tenant) -> None:
    made = await tenant.create(key=uuid4().hex, **ALL)
    pool = tenant.house.database.pool
    kept = [
        await pool.fetch(f"SELECT t::text FROM {t} t") for t in ("regions", "idempotency", "outbox")
    ]
    everything = str([tuple(row) for rows in kept for row in rows])
    for secret in (
        made.secrets.proxy_api_key,
        made.secrets.ssh_gateway_api_key,
        made.secrets.snapshot_manager_password,
    ):
        assert secret not in everything
        assert secret.removeprefix("dtn_") not in everything
        # bytea is shown in hexadecimal
        assert secret.encode().hex() not in everything
        assert secret.removeprefix("dtn_").encode().hex() not in everything


@pytest.mark.parametrize("name", ["", "a", "a b", "ä", "a/b", "<b>", "n" * 256, "a\x00b"])
async def test_bad_names(tenant: Tenant, name: str) -> None:
    assert await refusal(tenant.create(name)) == ("INVALID_ARGUMENT", "REGION_NAME_INVALID")


@pytest.mark.parametrize("field", [*ALL, "otel_endpoint"])
async def test_bad_addresses(tenant: Tenant, field: str) -> None:
    made = (await tenant.create()).region
    for url in ("nonsense", "https://u:p@h.example", "file:///etc/passwd"):
        expected = ("INVALID_ARGUMENT", "REGION_URL_INVALID")
        assert await refusal(tenant.create("x" + uuid4().hex, **{field: url})) == expected
        assert await refusal(tenant.update(made.id, **{field: url})) == expected
    assert await tenant.get(made.id) == made


async def test_a_name_is_taken_once_in_an_organization(house: House, tenant: Tenant) -> None:
    first = (await tenant.create("shared-name")).region
    assert await refusal(tenant.create("shared-name")) == ("ALREADY_EXISTS", "REGION_NAME_TAKEN")
    other, _ = await house.person()
    elsewhere = Tenant(house, other, (await house.create(other)).id)
    second = (await elsewhere.create("shared-name")).region
    assert second.id != first.id
    await tenant.delete(first.id)
    await tenant.create("shared-name")


@pytest.mark.parametrize("round_", range(3))
async def test_of_ten_who_want_a_name_one_gets_it(tenant: Tenant, round_: int) -> None:
    outcomes = await asyncio.gather(*(outcome(tenant.create(f"n{round_}")) for _ in range(10)))
    assert sorted(outcomes) == ["REGION_NAME_TAKEN"] * 9 + ["ok"]
    assert len(await tenant.listed()) == 1


async def test_an_id_that_is_taken_is_not_given_again(
    tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter(["eu_aaaa", "eu_aaaa", "eu_aaaa", "eu_bbbb"])
    monkeypatch.setattr("services.orgs.commands.custom_regions.id_for", lambda _: next(ids))
    assert (await tenant.create("eu")).region.id == "eu_aaaa"
    assert (await tenant.create("EU")).region.id == "eu_bbbb"


async def test_the_hundredth_is_the_last(tenant: Tenant) -> None:
    await tenant.house.database.pool.execute(
        "INSERT INTO regions (id, name, type, organization_id, enforce_quotas)"
        " SELECT $1::text || n, 'r' || n, 'custom', $2, false FROM generate_series(1, 99) n",
        uuid4().hex,
        tenant.organization,
    )
    outcomes = await asyncio.gather(*(outcome(tenant.create(f"n{n}")) for n in range(4)))
    assert sorted(outcomes) == ["REGION_LIMIT_REACHED"] * 3 + ["ok"]
    assert (await refusal(tenant.create("one-more")))[0] == "PERMISSION_DENIED"


async def test_the_same_key_gets_the_same_secrets(tenant: Tenant) -> None:
    key = uuid4().hex
    answers = await asyncio.gather(*(tenant.create("once", key=key, **ALL) for _ in range(5)))
    assert all(a == answers[0] for a in answers)
    assert answers[0].secrets.proxy_api_key
    assert len(await tenant.listed()) == 1
    # Whatever became of it meanwhile.
    await tenant.delete(answers[0].region.id)
    assert await tenant.create("once", key=key, **ALL) == answers[0]
    assert await tenant.listed() == []
    reused = await refusal(tenant.create("other", key=key, **ALL))
    assert reused == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED")
    bad = await refusal(tenant.create("bad", key="k" * 256))
    assert bad == ("INVALID_ARGUMENT", "IDEMPOTENCY_KEY_INVALID")
    # Somebody else's key of the same spelling is another.
    colleague, _ = await tenant.house.person()
    await tenant.house.join(colleague, tenant.organization, "owner")
    theirs = await tenant.create("once", key=key, user_id=colleague, **ALL)
    assert theirs.secrets != answers[0].secrets


async def test_a_secret_that_cannot_be_made_again_is_not_made_up(tenant: Tenant) -> None:
    key = uuid4().hex
    await tenant.create("once", key=key, proxy_url=PROXY)
    await tenant.create("bare", key=key + "b")
    pool = tenant.house.database.pool
    rows = await pool.fetch("SELECT key, answer FROM idempotency WHERE key LIKE $1", key + "%")
    for row in rows:
        kept = bytes(row["answer"]).replace(b'"signed_by":"', b'"signed_by":"x')
        await pool.execute("UPDATE idempotency SET answer = $1 WHERE key = $2", kept, row["key"])
    assert await refusal(tenant.create("once", key=key, proxy_url=PROXY)) == (
        "ALREADY_EXISTS",
        "REGION_NAME_TAKEN",
    )
    assert (await tenant.create("bare", key=key + "b")).region.name == "bare"


async def test_addresses_change_one_by_one(tenant: Tenant) -> None:
    made = await tenant.create(**ALL)
    id_ = made.region.id
    await tenant.update(id_, proxy_url="https://other.example", ssh_gateway_url="")
    now = await tenant.get(id_)
    assert (now.proxy_url, now.ssh_gateway_url) == ("https://other.example", "")
    assert (now.snapshot_manager_url, now.name) == (MANAGER, "eu")
    assert now.update_time.ToNanoseconds() > made.region.update_time.ToNanoseconds()
    assert now.create_time == made.region.create_time
    # The secret goes on; what was cleared lost it, also when the address comes back.
    assert (await _resolve(tenant.house, made.secrets.proxy_api_key))[0] == id_
    await tenant.update(id_, ssh_gateway_url=SSH)
    unknown = ("NOT_FOUND", "REGION_CREDENTIAL_UNKNOWN")
    assert await refusal(_resolve(tenant.house, made.secrets.ssh_gateway_api_key)) == unknown
    await tenant.update(id_)
    assert (await tenant.get(id_)).ssh_gateway_url == SSH


async def test_a_secret_is_replaced(tenant: Tenant) -> None:
    made = await tenant.create(**ALL)
    id_ = made.region.id
    before = {
        "proxy": made.secrets.proxy_api_key,
        "ssh": made.secrets.ssh_gateway_api_key,
        "manager": made.secrets.snapshot_manager_password,
    }
    for kind, old in before.items():
        secrets = await tenant.regenerate(id_, kind)
        values = [v for _, v in secrets.ListFields()]
        assert len(values) == (2 if kind == "manager" else 1)
        if kind == "manager":
            assert secrets.snapshot_manager_username == "daytona"
        unknown = ("NOT_FOUND", "REGION_CREDENTIAL_UNKNOWN")
        assert await refusal(_resolve(tenant.house, old)) == unknown
        assert await _resolve(tenant.house, values[-1]) == (id_, KINDS[kind])


async def test_a_secret_without_an_address(tenant: Tenant) -> None:
    id_ = (await tenant.create()).region.id
    unset = ("FAILED_PRECONDITION", "REGION_URL_UNSET")
    for kind in KINDS:
        assert await refusal(tenant.regenerate(id_, kind)) == unset
    await tenant.update(id_, ssh_gateway_url=SSH)
    assert (await tenant.regenerate(id_, "ssh")).ssh_gateway_api_key
    assert await refusal(tenant.regenerate(id_, "proxy")) == unset
    unspecified = pb.RegenerateRegionCredentialRequest(
        organization_id=tenant.organization, region_id=id_
    )
    call = tenant.house.regions.RegenerateRegionCredential(unspecified, metadata=tenant.metadata())
    assert await refusal(call) == unset


async def test_whose_secret_it_is_only_auth_is_told(tenant: Tenant) -> None:
    secret = (await tenant.create(proxy_url=PROXY)).secrets.proxy_api_key
    refused = await refusal(_resolve(tenant.house, secret, machine="snapshots"))
    assert refused == ("PERMISSION_DENIED", "SERVICE_REFUSED")
    for digest in (b"", b"\x00" * 32, secret.encode(), b"x" * 1000):
        call = tenant.house.regions.ResolveRegionCredential(
            pb.ResolveRegionCredentialRequest(digest=digest),
            metadata=tenant.house.as_machine("auth"),
        )
        assert await refusal(call) == ("NOT_FOUND", "REGION_CREDENTIAL_UNKNOWN")


async def test_a_look_for_a_secret_reads_no_other_region(tenant: Tenant) -> None:
    await tenant.create("a-region", **ALL)
    pool = tenant.house.database.pool
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        plan = await connection.fetch(f"EXPLAIN {regions._OF_SECRET}", b"x" * 32)
    shown = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in shown
    for column in ("proxy_key", "ssh_gateway_key", "snapshot_manager_password"):
        assert f"uq_regions_{column}" in shown


async def test_regions_of_others_look_unknown(house: House, tenant: Tenant) -> None:
    other, _ = await house.person()
    stranger = Tenant(house, other, (await house.create(other)).id)
    theirs = (await tenant.create(**ALL)).region
    for id_ in (theirs.id, "never_made", "us", "", "a\x00b", "x" * 5000):
        seen = {
            await refusal(call)
            for call in (
                stranger.get(id_),
                stranger.update(id_, proxy_url=PROXY),
                stranger.delete(id_),
                stranger.regenerate(id_, "proxy"),
            )
        }
        assert seen == {("NOT_FOUND", "REGION_NOT_FOUND")}
    assert await stranger.listed() == []
    assert theirs.id not in {
        r.region_id for r in (await house.limits(stranger.organization)).regions
    }
    home = organization_service_pb2.SetDefaultRegionRequest(
        organization_id=stranger.organization, region_id=theirs.id
    )
    choose = house.organizations.SetDefaultRegion(
        home, metadata=house.as_user(other, stranger.organization, "owner")
    )
    assert await refusal(choose) == ("NOT_FOUND", "REGION_NOT_FOUND")
    assert await tenant.get(theirs.id) == theirs


async def test_what_is_kept_there_holds_a_region(tenant: Tenant) -> None:
    id_ = (await tenant.create(**ALL)).region.id
    await _tell(tenant, id_)
    await _tell(tenant, id_, "us")
    in_use = ("FAILED_PRECONDITION", "REGION_IN_USE")
    assert await refusal(tenant.delete(id_)) == in_use
    assert await refusal(tenant.update(id_, snapshot_manager_url="")) == in_use
    assert await refusal(tenant.update(id_, snapshot_manager_url="https://n.example")) == in_use
    # The same address again is no change, and the others are free.
    await tenant.update(id_, snapshot_manager_url=MANAGER, proxy_url="")
    await _tell(tenant, id_, removed=True)
    assert await refusal(tenant.delete(id_)) == in_use
    await _tell(tenant, id_, removed=True)
    await tenant.update(id_, snapshot_manager_url="")
    await tenant.delete(id_)


async def test_what_is_told_of_regions_that_are_not_counted(house: House, tenant: Tenant) -> None:
    other, _ = await house.person()
    stranger = Tenant(house, other, (await house.create(other)).id)
    id_ = (await tenant.create()).region.id
    await _tell(tenant, id_, removed=True)
    await _tell(stranger, id_)
    await _tell(tenant, "us", "gone_1234")
    await _tell(tenant)
    event = event_pb2.Event(organization_id=tenant.organization)
    event.snapshot_state_changed.new_state = "active"
    async with house.database.sessions.begin() as session:
        await from_snapshots(session, event)
    await tenant.delete(id_)
    assert (
        await house.database.pool.fetchval(
            "SELECT count(*) FROM region_usage WHERE region_id = $1", id_
        )
        == 0
    )


async def test_counts_and_deletion_at_once(tenant: Tenant) -> None:
    for _ in range(10):
        id_ = (await tenant.create()).region.id
        told, deleted = await asyncio.gather(
            outcome(_tell(tenant, id_)), outcome(tenant.delete(id_))
        )
        assert told == "ok"
        assert deleted in ("ok", "REGION_IN_USE")
        if deleted == "REGION_IN_USE":
            await _tell(tenant, id_, removed=True)
            await tenant.delete(id_)


async def test_a_default_that_is_deleted_is_unset(tenant: Tenant) -> None:
    id_ = (await tenant.create()).region.id
    pool = tenant.house.database.pool
    await pool.execute(
        "UPDATE organizations SET default_region_id = $1 WHERE id = $2", id_, tenant.organization
    )
    before = "SELECT revision FROM organizations WHERE id = $1"
    revision = await pool.fetchval(before, tenant.organization)
    await tenant.delete(id_)
    organization = await tenant.house.get(tenant.user_id, tenant.organization)
    assert organization.default_region_id == ""
    assert await pool.fetchval(before, tenant.organization) == revision + 1
    fields = [p["fields"] for t, p in await tenant.told() if t == "organization_changed"]
    assert fields == [["regions"], ["defaultRegionId"], ["regions"]]


async def test_each_change_is_told_once(tenant: Tenant) -> None:
    made = await tenant.create(
        "told", proxy_url=PROXY, ssh_gateway_url=SSH, snapshot_manager_url=MANAGER
    )
    id_ = made.region.id
    await tenant.update(id_, proxy_url="https://q.example")
    for kind in KINDS:
        await tenant.regenerate(id_, kind)
    await tenant.delete(id_)
    for refused in (tenant.delete(id_), tenant.create("x"), tenant.update(id_)):
        await refusal(refused)
    told = [(t, p) for t, p in await tenant.told() if t in ("audited", "organization_changed")]
    assert [p["fields"] for t, p in told if t == "organization_changed"] == [["regions"]] * 6
    audited = [p for t, p in told if t == "audited"]
    assert [p["action"] for p in audited] == [
        "create",
        "update",
        "regenerate_proxy_api_key",
        "regenerate_ssh_gateway_api_key",
        "regenerate_snapshot_manager_credentials",
        "delete",
    ]
    assert {(p["target_type"], p["target_id"]) for p in audited} == {("region", id_)}
    assert audited[0]["metadata"] == (
        f'{{"name":"told","proxyUrl":"{PROXY}","sshGatewayUrl":"{SSH}","snapshotManagerUrl":"{MANAGER}"}}'
    )
    assert audited[1]["metadata"] == '{"proxyUrl":"https://q.example"}'
    assert "dtn_" not in str(told)


async def test_who_may_no_longer(house: House, tenant: Tenant) -> None:
    """The token says that it is permitted; the database knows better."""
    id_ = (await tenant.create()).region.id
    colleague, _ = await house.person()
    await house.join(colleague, tenant.organization)
    role = await house.database.pool.fetchval(
        "INSERT INTO roles (id, organization_id, name, description, permissions)"
        " VALUES (gen_random_uuid(), $1, 'r', '', '{write:regions}') RETURNING id::text",
        tenant.organization,
    )
    await house.assign(colleague, tenant.organization, role)
    theirs = Tenant(house, colleague, tenant.organization)
    await theirs.update(id_, proxy_url=PROXY)
    assert await outcome(theirs.delete(id_)) == "PERMISSION_MISSING"
    await house.database.pool.execute("UPDATE roles SET permissions = '{}' WHERE id = $1", role)
    for call in (theirs.create("x1"), theirs.update(id_), theirs.regenerate(id_, "proxy")):
        assert await refusal(call) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
    await house.leave(colleague, tenant.organization)
    assert await outcome(theirs.create("x1")) == "ORGANIZATION_FORBIDDEN"


async def test_regions_go_with_their_organization(house: House, tenant: Tenant) -> None:
    made = await tenant.create(proxy_url=PROXY)
    await _tell(tenant, made.region.id)
    await house.delete(tenant.user_id, tenant.organization)
    refused = await refusal(_resolve(house, made.secrets.proxy_api_key))
    assert refused == ("NOT_FOUND", "REGION_CREDENTIAL_UNKNOWN")
