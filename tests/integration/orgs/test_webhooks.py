"""Webhooks: one message for each change, signed, delivered whatever happens on the way."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from google.protobuf.timestamp_pb2 import Timestamp
from standardwebhooks import WebhookVerificationError

from chassis.rotation import rotate
from chassis.sealing import Keys
from ratoon.events.v1 import event_pb2
from ratoon.orgs.v1 import organization_service_pb2 as orgs_pb
from ratoon.orgs.v1 import webhook_service_pb2 as pb
from ratoon.orgs.v1.organization_service_pb2_grpc import OrganizationServiceStub
from services.orgs.commands import sealed
from services.orgs.commands.webhooks import farewell, messages
from services.orgs.domain.webhooks import MOST_ENDPOINTS
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.actor import Actor
from tests.integration.orgs.hooks import (
    DELIVERED,
    FAILED,
    PENDING,
    Hooks,
    anew,
    created,
    hooks_over,
    statuses,
)
from tests.receiver import Received, thank
from tests.soak import rounds


@pytest.fixture(scope="module")
async def shared(
    make_database: MakeDatabase, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hooks]:
    folder, url = tmp_path_factory.mktemp("w"), await make_database("services.orgs")
    async with hooks_over(url, keyring, folder) as hooks:
        yield hooks


@pytest.fixture
async def hooks(shared: Hooks) -> AsyncIterator[Hooks]:
    async with anew(shared) as hooks:
        yield hooks


async def refuse(_: Received) -> web.Response:
    return web.Response(status=500)


async def gone(_: Received) -> web.Response:
    return web.Response(status=410)


async def redirect(_: Received) -> web.Response:
    return web.Response(status=302, headers={"location": "/elsewhere"})


async def test_a_change_is_told_once_signed_with_the_secret(hooks: Hooks) -> None:
    owner = await hooks.owner()
    _, secret = await hooks.endpoint(owner)
    event = created(owner.organization_id, "base")
    async with hooks.delivering():
        await hooks.happen(event)
        # The feed may tell it again: after a crash, or to a second server.
        await hooks.happen(event)
        (came,) = await hooks.receiver.until(1)
        found = await hooks.until(owner, lambda m: statuses(m) == [DELIVERED])
    came.verify(secret)
    said, made = came.said, event.snapshot_created
    assert list(said) == [
        "event",
        "timestamp",
        "id",
        "organizationId",
        "name",
        "state",
        "createdAt",
    ]
    assert (said["event"], said["id"], said["name"]) == (
        "snapshot.created",
        made.snapshot_id,
        "base",
    )
    assert (said["organizationId"], said["state"]) == (owner.organization_id, "pending")
    assert came.body.decode() == found[0].payload
    assert came.id == found[0].id
    for name in ("id", "timestamp", "signature"):
        assert came.headers[f"svix-{name}"] == came.headers[f"webhook-{name}"]
    assert came.headers["content-type"] == "application/json"
    (attempt,) = await hooks.attempts(owner, came.id)
    assert (attempt.status_code, attempt.error_code) == (204, "")
    assert len(hooks.receiver.received) == 1


async def test_only_who_wants_it_and_was_there_is_told(hooks: Hooks) -> None:
    owner, other = await hooks.owner(), await hooks.owner()
    before = created(owner.organization_id)
    await hooks.endpoint(owner, "snapshot.created", path="/wanted")
    await hooks.endpoint(owner, "snapshot.removed", path="/unwanted")
    await hooks.endpoint(owner, path="/off", disabled=True)
    await hooks.endpoint(other, path="/other")
    async with hooks.delivering():
        await hooks.happen(before, created(owner.organization_id), created(owner.organization_id))
        await hooks.receiver.until(2, "/wanted")
        await hooks.until(owner, lambda m: statuses(m) == [DELIVERED] * 2)
    assert Counter(r.path for r in hooks.receiver.received) == {"/wanted": 2}
    assert await hooks.messages(other) == []


async def test_it_is_tried_again_with_the_same_id_until_it_is_taken(hooks: Hooks) -> None:
    owner = await hooks.owner()
    await hooks.endpoint(owner)

    async def third_time(_: Received) -> web.Response:
        return web.Response(status=200 if len(hooks.receiver.received) >= 3 else 503)

    hooks.receiver.answer = third_time
    async with hooks.delivering():
        await hooks.happen(created(owner.organization_id))
        (message,) = await hooks.until(owner, lambda m: statuses(m) == [DELIVERED])
    assert {r.id for r in hooks.receiver.received} == {message.id}
    assert {r.body for r in hooks.receiver.received} == {message.payload.encode()}
    said = [(a.status_code, a.error_code) for a in await hooks.attempts(owner, message.id)]
    assert said == [(200, ""), (503, "HTTP_STATUS"), (503, "HTTP_STATUS")]


async def test_what_is_never_taken_is_given_up_and_recovered(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner)
    hooks.receiver.answer = refuse
    began = Timestamp()
    began.FromDatetime(datetime.now(UTC) - timedelta(minutes=1))
    request = pb.RecoverWebhookEndpointRequest(
        organization_id=owner.organization_id, endpoint_id=id_, since=began
    )
    deliverer = hooks.deliverer(pause=lambda attempts: 0.01 if attempts < 3 else None)
    async with hooks.delivering(deliverer):
        await hooks.happen(created(owner.organization_id), created(owner.organization_id))
        found = await hooks.until(owner, lambda m: statuses(m) == [FAILED] * 2)
        assert len(hooks.receiver.received) == 6
        assert (await hooks.show(owner, id_)).HasField("failing_since")
        hooks.receiver.answer = thank
        answer = await hooks.stub.RecoverWebhookEndpoint(request, metadata=owner.metadata())
        assert answer.deliveries == 2
        await hooks.until(owner, lambda m: statuses(m) == [DELIVERED] * 2)
    assert {r.id for r in hooks.receiver.received[6:]} == {m.id for m in found}
    assert not (await hooks.show(owner, id_)).HasField("failing_since")
    # What was delivered is not sent once more.
    answer = await hooks.stub.RecoverWebhookEndpoint(request, metadata=owner.metadata())
    assert answer.deliveries == 0


async def test_one_message_is_sent_again(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner)
    async with hooks.delivering():
        await hooks.happen(created(owner.organization_id))
        (first,) = await hooks.receiver.until(1)
        await hooks.until(owner, lambda m: statuses(m) == [DELIVERED])
        for endpoint_id in ("", id_):
            request = pb.ReplayWebhookMessageRequest(
                organization_id=owner.organization_id, message_id=first.id, endpoint_id=endpoint_id
            )
            answer = await hooks.stub.ReplayWebhookMessage(request, metadata=owner.metadata())
            assert answer.deliveries == 1
            await hooks.until(owner, lambda m: statuses(m) == [DELIVERED])
        came = await hooks.receiver.until(3)
    assert {(r.id, r.body) for r in came} == {(first.id, first.body)}
    assert len(await hooks.attempts(owner, first.id)) == 3


async def test_an_endpoint_that_is_gone_is_disabled(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner)
    hooks.receiver.answer = gone
    async with hooks.delivering():
        await hooks.happen(created(owner.organization_id))
        await hooks.until(owner, lambda m: statuses(m) == [FAILED])
        await hooks.happen(created(owner.organization_id))
        shown = await hooks.show(owner, id_)
    assert (shown.enabled, shown.disabled_reason) == (False, "gone")
    assert len(hooks.receiver.received) == 1
    # The second is kept, for who enables the endpoint and recovers.
    assert len(await hooks.messages(owner)) == 2
    told = await hooks.house.events(owner.organization_id)
    assert [p["action"] for t, p in told if t == "audited"][-1] == "update"


async def test_an_endpoint_that_fails_for_days_is_disabled(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner)
    hooks.receiver.answer = refuse
    ago = datetime.now(UTC) - timedelta(days=5, minutes=-1)
    update = "UPDATE webhook_endpoints SET failing_since = $1"
    await hooks.house.database.pool.execute(update, ago)
    async with hooks.delivering(hooks.deliverer(pause=lambda _: 3_600.0)):
        await hooks.happen(created(owner.organization_id))
        await hooks.receiver.until(1)
        (first,) = await hooks.messages(owner)
        async with asyncio.timeout(20):
            while not await hooks.attempts(owner, first.id):
                continue
        assert (await hooks.show(owner, id_)).enabled
        await hooks.house.database.pool.execute(update, ago - timedelta(minutes=2))
        await hooks.happen(created(owner.organization_id))
        await hooks.until(owner, lambda m: statuses(m) == [FAILED, FAILED])
    assert (await hooks.show(owner, id_)).disabled_reason == "failing"


async def test_redirects_are_not_followed(hooks: Hooks) -> None:
    owner = await hooks.owner()
    await hooks.endpoint(owner)
    hooks.receiver.answer = redirect
    async with hooks.delivering(hooks.deliverer(pause=lambda _: None)):
        await hooks.happen(created(owner.organization_id))
        (message,) = await hooks.until(owner, lambda m: statuses(m) == [FAILED])
    assert [a.status_code for a in await hooks.attempts(owner, message.id)] == [302]
    assert [r.path for r in hooks.receiver.received] == ["/hook"]


async def test_a_slow_endpoint_keeps_nobody_back(hooks: Hooks) -> None:
    owner, held = await hooks.owner(), asyncio.Event()
    await hooks.endpoint(owner, path="/slow")
    await hooks.endpoint(owner, path="/quick")

    async def hold(came: Received) -> web.Response:
        if came.path == "/slow":
            await held.wait()
        return web.Response(status=204)

    hooks.receiver.answer = hold
    async with hooks.delivering(hooks.deliverer(seconds=60.0)):
        await hooks.happen(*(created(owner.organization_id) for _ in range(100)))
        assert len({r.id for r in await hooks.receiver.until(100, "/quick")}) == 100
        # Four of the slow one's are under way, and no more.
        assert len(hooks.receiver.at("/slow")) == 4
        held.set()
        await hooks.receiver.until(100, "/slow")
        await hooks.until(owner, lambda m: statuses(m).count(DELIVERED) == 200)
    assert len({r.id for r in hooks.receiver.at("/slow")}) == 100


async def test_an_organization_of_slow_endpoints_keeps_no_other_back(hooks: Hooks) -> None:
    owner, other, held = await hooks.owner(), await hooks.owner(), asyncio.Event()
    for n in range(MOST_ENDPOINTS):
        await hooks.endpoint(owner, path=f"/slow/{n}")
    await hooks.endpoint(other, path="/quick")

    async def hold(came: Received) -> web.Response:
        if came.path != "/quick":
            await held.wait()
        return web.Response(status=204)

    def slow() -> int:
        return sum(r.path != "/quick" for r in hooks.receiver.received)

    hooks.receiver.answer = hold
    await hooks.happen(*(created(owner.organization_id) for _ in range(20)))
    async with hooks.delivering(hooks.deliverer(seconds=60.0)):
        async with asyncio.timeout(20):
            while slow() < 16:
                await asyncio.sleep(0.01)
        await hooks.happen(*(created(other.organization_id) for _ in range(50)))
        assert len({r.id for r in await hooks.receiver.until(50, "/quick")}) == 50
        assert slow() == 16
        held.set()
        await hooks.until(owner, lambda m: statuses(m).count(DELIVERED) == 20 * MOST_ENDPOINTS)
    assert len({(r.path, r.id) for r in hooks.receiver.received}) == 20 * MOST_ENDPOINTS + 50


async def test_it_is_delivered_whoever_dies_between_commit_and_delivery(hooks: Hooks) -> None:
    owner, held = await hooks.owner(), asyncio.Event()
    await hooks.endpoint(owner)

    async def hold(_: Received) -> web.Response:
        await held.wait()
        return web.Response(status=204)

    hooks.receiver.answer = hold
    await hooks.happen(created(owner.organization_id))
    dying = asyncio.create_task(hooks.deliverer(lease=0.3).run())
    await hooks.receiver.until(1)
    # No goodbye: what it had begun is neither ended nor written down.
    for task in asyncio.all_tasks():
        if task is dying or "Deliverer._deliver" in str(task.get_coro()):
            task.cancel()
    held.set()
    async with hooks.delivering(hooks.deliverer(lease=0.3)):
        (message,) = await hooks.until(owner, lambda m: statuses(m) == [DELIVERED])
    await asyncio.gather(dying, return_exceptions=True)
    assert [r.id for r in hooks.receiver.received] == [message.id] * 2


async def test_two_servers_share_what_is_to_be_delivered(hooks: Hooks) -> None:
    owner = await hooks.owner()
    await hooks.endpoint(owner)
    async with hooks.delivering(hooks.deliverer(), hooks.deliverer()):
        for _ in range(10):
            await hooks.happen(*(created(owner.organization_id) for _ in range(10)))
        await hooks.until(owner, lambda m: statuses(m) == [DELIVERED] * 100)
    assert Counter(Counter(r.id for r in hooks.receiver.received).values()) == {1: 100}


async def test_a_rotated_secret_signs_beside_the_one_before(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, first = await hooks.endpoint(owner)
    named = {"organization_id": owner.organization_id, "endpoint_id": id_}
    rotated = await hooks.stub.RotateWebhookEndpointSecret(
        pb.RotateWebhookEndpointSecretRequest(**named), metadata=owner.metadata()
    )
    asked = pb.GetWebhookEndpointSecretRequest(**named)
    shown = await hooks.stub.GetWebhookEndpointSecret(asked, metadata=owner.metadata())
    assert shown.secret == rotated.secret != first
    assert shown.previous_secret_until == rotated.previous_secret_until
    async with hooks.delivering():
        await hooks.happen(created(owner.organization_id))
        (both,) = await hooks.receiver.until(1)
        both.verify(first)
        both.verify(rotated.secret)
        await hooks.house.database.pool.execute(
            "UPDATE webhook_endpoints SET previous_secret_until = now()"
        )
        await hooks.happen(created(owner.organization_id))
        alone = (await hooks.receiver.until(2))[1]
    alone.verify(rotated.secret)
    with pytest.raises(WebhookVerificationError):
        alone.verify(first)
    shown = await hooks.stub.GetWebhookEndpointSecret(asked, metadata=owner.metadata())
    assert not shown.HasField("previous_secret_until")


async def test_secrets_are_sealed_and_sealed_anew(
    make_database: MakeDatabase, keyring: Keyring, tmp_path: Path
) -> None:
    path = tmp_path / "keys" / "keys.json"
    path.parent.mkdir()
    path.write_text(Keys("", {}).renewed().dump())
    told = {"encryption_keys": None, "encryption_keys_file": path}
    url = await make_database("services.orgs")
    async with hooks_over(url, keyring, tmp_path, **told) as hooks:
        owner = await hooks.owner()
        id_, first = await hooks.endpoint(owner)
        named = {"organization_id": owner.organization_id, "endpoint_id": id_}
        rotated = await hooks.stub.RotateWebhookEndpointSecret(
            pb.RotateWebhookEndpointSecretRequest(**named), metadata=owner.metadata()
        )
        pool = hooks.house.database.pool
        kept = "SELECT unnest(ARRAY[secret, previous_secret]) FROM webhook_endpoints"
        before = [row[0] for row in await pool.fetch(kept)]
        assert not {first.encode(), rotated.secret.encode()} & set(before)
        assert await rotate(hooks.house.database, hooks.house.settings.ring(), sealed) == 1
        assert not set(before) & {row[0] for row in await pool.fetch(kept)}
        async with hooks.delivering():
            await hooks.happen(created(owner.organization_id))
            (came,) = await hooks.receiver.until(1)
        came.verify(first)
        came.verify(rotated.secret)


async def test_a_test_is_sent_to_one_endpoint(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, secret = await hooks.endpoint(owner, "snapshot.removed")
    await hooks.endpoint(owner, path="/other")
    request = pb.TestWebhookEndpointRequest(organization_id=owner.organization_id, endpoint_id=id_)
    async with hooks.delivering():
        sent = await hooks.stub.TestWebhookEndpoint(request, metadata=owner.metadata())
        (came,) = await hooks.receiver.until(1)
        await hooks.until(owner, lambda m: statuses(m) == [DELIVERED])
    came.verify(secret)
    assert (came.id, came.said["event"]) == (sent.message.id, "ping")
    assert [d.status for d in sent.message.deliveries] == [PENDING]
    assert hooks.receiver.at("/other") == []


async def test_an_administrator_sends_what_is_told_once(hooks: Hooks) -> None:
    owner = await hooks.owner()
    await hooks.endpoint(owner)
    admin = hooks.house.as_admin()
    request = pb.AdminSendWebhookMessageRequest(
        organization_id=owner.organization_id,
        event_type="sandbox.created",
        payload='{"id": "x", "n": 1}',
        event_id="evt_1",
    )
    async with hooks.delivering():
        first = await hooks.stub.AdminSendWebhookMessage(request, metadata=admin)
        again = await hooks.stub.AdminSendWebhookMessage(request, metadata=admin)
        (came,) = await hooks.receiver.until(1)
        await hooks.until(owner, lambda m: statuses(m) == [DELIVERED])
    assert first.message.id == again.message.id == came.id
    assert came.body == b'{"id":"x","n":1}'
    told = [
        p["action"] for _, p in await hooks.house.events(owner.organization_id) if "action" in p
    ]
    assert told.count("send_webhook_message") == 1


async def test_the_log_is_walked_and_filtered(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner)
    events = [created(owner.organization_id, str(n)) for n in range(5)]
    gone_ = event_pb2.SnapshotRemoved(snapshot_id="s", name="n")
    events[2].snapshot_removed.CopyFrom(gone_)
    await hooks.happen(*events)
    whole = [m.id for m in await hooks.messages(owner)]
    walked, token = [], ""
    while page := await hooks.page(owner, page_size=2, page_token=token):
        walked += [m.id for m in page.messages]
        if not (token := page.next_page_token):
            break
    assert walked == whole
    assert len(whole) == 5
    assert len(await hooks.messages(owner, event_type="snapshot.removed")) == 1
    assert len(await hooks.messages(owner, endpoint_id=id_, status=PENDING)) == 5
    assert await hooks.messages(owner, status=DELIVERED) == []


async def test_old_messages_are_forgotten_with_their_log(hooks: Hooks) -> None:
    owner = await hooks.owner()
    await hooks.endpoint(owner)
    async with hooks.delivering():
        await hooks.happen(created(owner.organization_id), created(owner.organization_id))
        await hooks.until(owner, lambda m: statuses(m) == [DELIVERED] * 2)
    kept, old = (m.id for m in await hooks.messages(owner))
    pool = hooks.house.database.pool
    age = "UPDATE webhook_messages SET created_at = now() - interval '15 days' WHERE id = $1"
    await pool.execute(age, old)
    await messages.forget(hooks.house.database.sessions, 14)
    assert [m.id for m in await hooks.messages(owner)] == [kept]
    assert await pool.fetchval("SELECT count(*) FROM webhook_attempts") == 1


async def _delete(hooks: Hooks, owner: Actor) -> None:
    stub = OrganizationServiceStub(hooks.house.channel)
    request = orgs_pb.DeleteOrganizationRequest(organization_id=owner.organization_id)
    await stub.DeleteOrganization(request, metadata=owner.metadata())


async def _left(hooks: Hooks) -> list[int]:
    tables = ("webhook_endpoints", "webhook_messages", "webhook_deliveries", "webhook_attempts")
    pool = hooks.house.database.pool
    return [await pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables]


async def test_the_end_of_an_organization_is_the_last_that_its_endpoints_are_told(
    hooks: Hooks,
) -> None:
    """What waited is delivered, tried again as ever, and then nothing is left; nobody else is told."""
    owner, other = await hooks.owner(), await hooks.owner()
    _, secret = await hooks.endpoint(owner, path="/all")
    await hooks.endpoint(owner, "snapshot.created", path="/some")
    await hooks.endpoint(owner, path="/off", disabled=True)
    await hooks.endpoint(other, path="/other")
    await hooks.happen(created(owner.organization_id, "waits"))
    await _delete(hooks, owner)
    # What is told later by a feed finds nobody.
    await hooks.happen(created(owner.organization_id, "late"))
    refused = 0

    async def at_first_not(_: Received) -> web.Response:
        nonlocal refused
        refused += 1
        return web.Response(status=503 if refused <= 2 else 204)

    hooks.receiver.answer = at_first_not
    async with hooks.delivering():
        async with asyncio.timeout(20):
            while await hooks.house.database.pool.fetchval(
                "SELECT count(*) FROM webhook_deliveries WHERE status = 'pending'"
            ):
                await asyncio.sleep(0.01)
    came = {(r.path, r.said["event"]): r for r in hooks.receiver.received}
    assert set(came) == {
        ("/all", "snapshot.created"),
        ("/all", "organization.deleted"),
        ("/some", "snapshot.created"),
    }
    last = came["/all", "organization.deleted"]
    last.verify(secret)
    assert list(last.said) == ["event", "timestamp", "id", "organizationId", "name", "deletedAt"]
    assert last.said["id"] == last.said["organizationId"] == owner.organization_id
    assert all(r.said.get("name") != "late" for r in hooks.receiver.received)
    await farewell.forget(hooks.house.database.sessions)
    assert await _left(hooks) == [1, 0, 0, 0]


async def test_an_endpoint_that_is_gone_with_its_organization_is_disabled_and_forgotten(
    hooks: Hooks,
) -> None:
    owner = await hooks.owner()
    await hooks.endpoint(owner)
    hooks.receiver.answer = gone
    await _delete(hooks, owner)
    await farewell.forget(hooks.house.database.sessions)
    assert await _left(hooks) == [1, 1, 1, 0]
    async with hooks.delivering(), asyncio.timeout(20):
        while await hooks.house.database.pool.fetchval(
            "SELECT count(*) FROM webhook_endpoints WHERE disabled_reason = ''"
        ):
            await asyncio.sleep(0.01)
    await farewell.forget(hooks.house.database.sessions)
    assert await _left(hooks) == [0, 0, 0, 0]


async def test_what_happens_while_an_organization_is_deleted_breaks_nothing(hooks: Hooks) -> None:
    """The batch of a feed holds events of many: one that is being deleted does not keep the others from being told."""
    for _ in range(rounds(10, 200)):
        owner, other = await hooks.owner(), await hooks.owner()
        for actor in (owner, other):
            await hooks.endpoint(actor)
        events = [created(a.organization_id) for a in (owner, other)]
        await asyncio.gather(_delete(hooks, owner), *(hooks.happen(*events) for _ in range(3)))
        assert len(await hooks.messages(other)) == 1
