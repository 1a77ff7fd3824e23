"""Registries over a real socket, into a real database; logins at a real registry."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import pytest
from cryptography.exceptions import InvalidTag
from grpc import StatusCode

from chassis import rotation
from chassis.grpc.caller import Caller
from chassis.sealing import id_of
from ratoon.snapshots.v1 import registry_pb2
from ratoon.snapshots.v1 import registry_service_pb2 as pb
from services.snapshots.commands import retirement, sealed
from services.snapshots.domain.credentials import Credential
from services.snapshots.images.credentials import OwnCredentials
from services.snapshots.queries import registries as queries
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.world import World, a_world, refused
from tests.registry import PASSWORD, USER, Registry, running_registry


@pytest.fixture(scope="module")
def locked() -> Iterator[Registry]:
    with running_registry(password=True) as running:
        yield running


@pytest.fixture(scope="module")
def opened() -> Iterator[Registry]:
    with running_registry() as running:
        yield running


@pytest.fixture(scope="module")
async def world(
    make_database: MakeDatabase, keyring: Keyring, locked: Registry, opened: Registry
) -> AsyncIterator[World]:
    url = await make_database("services.snapshots")
    with TemporaryDirectory(prefix="rtn-") as folder:
        hosts = (locked.host, opened.host, "127.0.0.1:9")
        async with a_world(url, keyring, Path(folder), *hosts) as world:
            yield world


@dataclass
class Keeper:
    """Somebody who may do everything with the registries of one organization."""

    world: World
    organization: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        caller = Caller(
            credential="oidc",
            user_id=f"user-{self.organization}",
            organization_id=self.organization,
            organization_role="member",
            permissions=frozenset({"write:registries", "delete:registries"}),
        )
        return self.world.keyring.metadata(caller)

    async def create(self, name: str = "hub", **more: Any) -> registry_pb2.Registry:
        fields = {"url": "", "username": "me", "password": "hush-hush", **more}
        request = pb.CreateRegistryRequest(organization_id=self.organization, name=name, **fields)
        stub = self.world.registries
        return (await stub.CreateRegistry(request, metadata=self.metadata)).registry

    async def names(self) -> list[str]:
        request = pb.ListRegistriesRequest(organization_id=self.organization)
        answer = await self.world.registries.ListRegistries(request, metadata=self.metadata)
        return [r.name for r in answer.registries]

    async def get(self, id_: str) -> registry_pb2.Registry:
        request = pb.GetRegistryRequest(organization_id=self.organization, registry_id=id_)
        answer = await self.world.registries.GetRegistry(request, metadata=self.metadata)
        return answer.registry

    async def change(self, id_: str, **fields: Any) -> registry_pb2.Registry:
        request = pb.UpdateRegistryRequest(
            organization_id=self.organization,
            registry_id=id_,
            **{"name": "hub", "url": "", "username": "me", **fields},
        )
        answer = await self.world.registries.UpdateRegistry(request, metadata=self.metadata)
        return answer.registry

    async def delete(self, id_: str, **fields: Any) -> None:
        request = pb.DeleteRegistryRequest(
            organization_id=self.organization, registry_id=id_, **fields
        )
        await self.world.registries.DeleteRegistry(request, metadata=self.metadata)

    async def test(self, id_: str) -> tuple[bool, str]:
        request = pb.TestRegistryRequest(organization_id=self.organization, registry_id=id_)
        answer = await self.world.registries.TestRegistry(request, metadata=self.metadata)
        assert answer.reason
        assert PASSWORD not in answer.reason
        return answer.ok, answer.code

    async def credential(self, image: str) -> Credential | None:
        known = OwnCredentials(self.world.database.sessions, self.world.ring)
        return await known.of(UUID(self.organization), image)

    async def told(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Return action, target and body of what the audit log is told, in order."""
        rows = await self.world.database.pool.fetch(
            "SELECT payload FROM outbox WHERE type = 'audited' AND organization_id = $1 ORDER BY id",
            self.organization,
        )
        payloads = [json.loads(row["payload"]) for row in rows]
        assert {p["target_type"] for p in payloads} <= {"docker_registry"}
        return [(p["action"], p["target_id"], json.loads(p["metadata"])["body"]) for p in payloads]


@pytest.fixture
def me(world: World) -> Keeper:
    return Keeper(world, str(uuid4()))


async def test_a_registry_is_made_changed_and_deleted(me: Keeper) -> None:
    made = await me.create(url="https://index.docker.io/v1/", project="team")
    assert (made.name, made.url, made.username, made.project) == ("hub", "docker.io", "me", "team")
    assert await me.get(made.id) == made
    changed = await me.change(made.id, name="other", username="you")
    assert (changed.name, changed.username, changed.project) == ("other", "you", "team")
    assert changed.create_time == made.create_time
    assert changed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert (await me.change(made.id, project="")).project == ""
    await me.create("newer")
    assert await me.names() == ["newer", "hub"]
    await me.delete(made.id)
    assert await me.names() == ["newer"]
    async with refused("REGISTRY_NOT_FOUND", StatusCode.NOT_FOUND):
        await me.delete(made.id)


async def test_a_change_that_others_made_meanwhile_is_not_undone(me: Keeper) -> None:
    made = await me.create()
    assert made.revision == 1
    assert (await me.change(made.id, name="one", if_revision=1)).revision == 2
    async with refused("REVISION_MISMATCH", StatusCode.ABORTED):
        await me.change(made.id, name="other", if_revision=1)
    async with refused("REVISION_MISMATCH", StatusCode.ABORTED):
        await me.delete(made.id, if_revision=1)
    assert (await me.get(made.id)).name == "one"
    await me.delete(made.id, if_revision=2)
    assert await me.names() == []


async def test_each_change_is_told_once_and_without_the_password(me: Keeper) -> None:
    made = await me.create()
    await me.change(made.id, username="you")
    await me.change(made.id, password="another-hush")
    await me.delete(made.id)
    said = {"name": "hub", "url": "docker.io", "username": "me", "project": ""}
    assert await me.told() == [
        ("create", made.id, {**said, "password": "******"}),
        ("update", made.id, {**said, "username": "you"}),
        ("update", made.id, {**said, "password": "******"}),
        ("delete", made.id, {"name": "hub"}),
    ]


async def test_a_password_is_nowhere_in_the_database(me: Keeper) -> None:
    await me.create(password="needle-in-a-haystack", request_id="once")
    for table in ("registries", "outbox", "idempotency"):
        rows = await me.world.database.pool.fetch(f"SELECT t::text AS t FROM {table} AS t")
        assert rows
        for row in rows:
            assert "needle" not in row["t"]
            assert b"needle".hex() not in row["t"]


@pytest.mark.parametrize("id_", ["theirs", "00000000-0000-4000-8000-00000000dead", "abc", ""])
async def test_somebody_elses_is_as_unknown_as_what_is_nobodys(me: Keeper, id_: str) -> None:
    if id_ == "theirs":
        id_ = (await Keeper(me.world, str(uuid4())).create()).id
    for act in (me.get, me.change, me.delete, me.test):
        async with refused("REGISTRY_NOT_FOUND", StatusCode.NOT_FOUND):
            await act(id_)
    assert await me.names() == []
    assert await me.told() == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "REGISTRY_NAME_INVALID"),
        ({"url": "ftp://x"}, "REGISTRY_URL_INVALID"),
        ({"username": "a:b"}, "REGISTRY_CREDENTIAL_INVALID"),
        ({"project": "A"}, "REGISTRY_PROJECT_INVALID"),
    ],
)
async def test_what_is_wrong_is_refused_by_name(
    me: Keeper, fields: dict[str, str], reason: str
) -> None:
    made = await me.create()
    async with refused(reason, StatusCode.INVALID_ARGUMENT):
        await me.create(**{"name": "n", **fields})
    async with refused(reason, StatusCode.INVALID_ARGUMENT):
        await me.change(made.id, **fields)
    assert await me.get(made.id) == made


async def test_the_password_is_kept_unless_another_host_is_to_get_it(me: Keeper) -> None:
    made = await me.create(url="https://ghcr.io")
    await me.change(made.id, url="ghcr.io/team", username="you")
    assert await me.credential("ghcr.io/team/x:1") == Credential("ghcr.io", "you", "hush-hush")
    async with refused("REGISTRY_PASSWORD_REQUIRED", StatusCode.INVALID_ARGUMENT):
        await me.change(made.id, url="ghcr.example.com")
    await me.change(made.id, url="ghcr.example.com", password="new")
    found = await me.credential("ghcr.example.com/x:1")
    assert found == Credential("ghcr.example.com", "me", "new")
    assert "new" not in repr(found)


async def test_a_row_that_is_tampered_with_opens_nothing(me: Keeper) -> None:
    made = await me.create(url="ghcr.io")
    await me.world.database.pool.execute(
        "UPDATE registries SET host = 'evil.example' WHERE id = $1", UUID(made.id)
    )
    with pytest.raises(InvalidTag):
        await me.credential("evil.example/x:1")
    await me.delete(made.id)


async def test_there_are_a_hundred_at_most_however_many_ask_at_once(me: Keeper) -> None:
    for batch in range(10):
        await asyncio.gather(*(me.create(f"{batch}-{n}") for n in range(9 + (batch == 0))))
    assert len(await me.names()) == 91
    outcomes = await asyncio.gather(
        *(me.create(f"last-{n}") for n in range(20)), return_exceptions=True
    )
    assert sum(not isinstance(o, BaseException) for o in outcomes) == 9
    assert len(await me.names()) == 100
    async with refused("REGISTRY_LIMIT_REACHED", StatusCode.FAILED_PRECONDITION):
        await me.create("one too many")


async def test_the_same_request_again_gets_the_first_answer(me: Keeper) -> None:
    made = await me.create(request_id="key")
    assert await me.create(request_id="key") == made
    for other in ({"password": "other"}, {"name": "other"}):
        async with refused("IDEMPOTENCY_KEY_REUSED", StatusCode.ALREADY_EXISTS):
            await me.create(**{"request_id": "key", **other})
    assert await me.names() == ["hub"]


async def test_the_best_fitting_one_is_chosen(me: Keeper) -> None:
    async def user(image: str) -> str | None:
        found = await me.credential(image)
        return found.username if found else None

    await me.create(url="docker.io", username="hub")
    await me.create(url="r.example:5000", username="all")
    await me.create(url="r.example:5000", username="team", project="team")
    await me.create(url="r.example:5000/team", username="base", project="base")
    await me.create(url="scoped.example", username="scoped", project="only")
    assert await user("alpine:3.20") == "hub"
    assert await user("me/private:1") == "hub"
    assert await user("docker.io/me/private:1") == "hub"
    assert await user("index.docker.io/me/private:1") == "hub"
    assert await user("r.example:5000/x:1") == "all"
    assert await user("r.example:5000/team/x:1") == "team"
    assert await user("r.example:5000/teams/x:1") == "all"
    assert await user("r.example:5000/team/base/x:1") == "base"
    assert await user("r.example:5000/team/base/x@sha256:" + "a" * 64) == "base"
    assert await user("scoped.example/only/x:1") == "scoped"
    assert await user("scoped.example/other/x:1") is None
    assert await user("r.example/x:1") is None
    assert await user("r.example:5000.evil.example/x:1") is None
    assert await user("Not An Image") is None
    stranger = Keeper(me.world, str(uuid4()))
    assert await stranger.credential("r.example:5000/x:1") is None


async def test_a_registry_without_credentials_is_visited_as_anybody(me: Keeper) -> None:
    await me.create(url="quay.io", username="", password="")
    assert await me.credential("quay.io/x:1") is None
    await me.create(url="quay.io", username="", password="a token alone", project="t")
    assert await me.credential("quay.io/t/x:1") == Credential("quay.io", "", "a token alone")


async def test_an_administrator_prefers_one_of_equals(me: Keeper) -> None:
    first = await me.create(username="first")
    second = await me.create(username="second")
    admin = Caller(credential="oidc", user_id="admin", system_admin=True)
    metadata = me.world.keyring.metadata(admin)

    async def prefer(id_: str) -> registry_pb2.Registry:
        request = pb.SetDefaultRegistryRequest(registry_id=id_)
        answer = await me.world.registries.SetDefaultRegistry(request, metadata=metadata)
        return answer.registry

    async def chosen() -> str:
        found = await me.credential("alpine:3.20")
        assert found is not None
        return found.username

    assert await chosen() == "second"
    assert (await prefer(first.id)).default
    assert await chosen() == "first"
    await prefer(first.id)
    await prefer(second.id)
    assert not (await me.get(first.id)).default
    assert await chosen() == "second"
    changes = [(action, id_) for action, id_, _ in await me.told()][2:]
    assert changes == [("set_default", first.id), ("set_default", second.id)]
    async with refused("REGISTRY_NOT_FOUND", StatusCode.NOT_FOUND):
        await prefer(str(uuid4()))
    await asyncio.gather(*(prefer(r.id) for r in (first, second) for _ in range(5)))
    assert (await me.get(first.id)).default != (await me.get(second.id)).default


async def test_a_login_says_how_it_went(me: Keeper, locked: Registry, opened: Registry) -> None:
    right = {"username": USER, "password": PASSWORD}
    cases = {
        "OK": {"url": locked.host, **right},
        "OPEN": {"url": opened.host, **right},
        "REGISTRY_UNREACHABLE": {"url": "127.0.0.1:9", **right},
        "REGISTRY_HOST_UNKNOWN": {"url": "nobody.invalid", **right},
        "REGISTRY_UNAUTHORIZED": {"url": locked.host, "username": USER, "password": "wrong"},
    }
    for code, fields in cases.items():
        made = await me.create(code, **fields)
        assert await me.test(made.id) == (code in ("OK", "OPEN"), code)
    bare = await me.create("bare", url=locked.host, username="", password="")
    assert await me.test(bare.id) == (False, "REGISTRY_UNAUTHORIZED")


async def test_keys_are_replaced_while_registries_are_made(
    me: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "_BATCH", 3)
    world = me.world
    await me.create("none", url="none.example", username="me", password="")
    for n in range(5):
        await me.create(f"r{n}", url=f"r{n}.example", password=f"word {n}")
    before = [await me.get(id_) for id_ in await _ids(me)]
    old = world.ring.keys().active
    assert await rotation.rotate(world.database, world.ring, sealed) >= 5
    keys = world.ring.keys()
    assert set(keys.secrets) == {keys.active} != {old}
    rows = await world.database.pool.fetch(
        "SELECT password FROM registries WHERE password IS NOT NULL"
    )
    assert {id_of(row[0]) for row in rows} == {keys.active}
    assert [await me.get(id_) for id_ in await _ids(me)] == before
    # The server had read the keys before, and looks again.
    await me.create("after", url="after.example", password="word after")
    for n in (*range(5), "after"):
        host = f"{n}.example" if n == "after" else f"r{n}.example"
        found = await me.credential(f"{host}/x:1")
        assert found is not None
        assert found.secret == f"word {n}"


async def test_what_a_deleted_organization_had_is_gone_at_once(me: Keeper) -> None:
    await me.create()
    async with me.world.database.sessions.begin() as session:
        await retirement.close_organization(session, UUID(me.organization))
    assert await me.names() == []
    async with refused("ORGANIZATION_FORBIDDEN", StatusCode.PERMISSION_DENIED):
        await me.create()


async def _ids(me: Keeper) -> list[str]:
    async with me.world.database.sessions.begin() as session:
        return [str(r.id) for r in await queries.all_of(session, UUID(me.organization))]
