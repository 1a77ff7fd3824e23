"""Who may have endpoints, which there may be, and what is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from ratoon.orgs.v1 import webhook_service_pb2 as pb
from services.orgs.domain.webhooks import MOST_ENDPOINTS
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.orgs.actor import UNKNOWN, Actor
from tests.integration.orgs.conftest import refusal
from tests.integration.orgs.hooks import Hooks, anew, created, hooks_over

Ask = Callable[[Hooks, Actor, str], Awaitable[Any]]


@pytest.fixture(scope="module")
async def shared(
    make_database: MakeDatabase, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Hooks]:
    folder, url = tmp_path_factory.mktemp("w"), await make_database("services.orgs")
    # Nothing but public addresses, and those by TLS.
    told = {"webhooks_allowed_networks": "", "webhooks_allow_http": False}
    async with hooks_over(url, keyring, folder, **told) as hooks:
        yield hooks


@pytest.fixture
async def hooks(shared: Hooks) -> AsyncIterator[Hooks]:
    async with anew(shared) as hooks:
        yield hooks


def _endpoint(method: str, **more: Any) -> Ask:
    """Return what asks for something of an endpoint."""

    async def ask(hooks: Hooks, actor: Actor, endpoint_id: str) -> Any:
        request = getattr(pb, f"{method}Request")(
            organization_id=actor.organization_id, endpoint_id=endpoint_id, **more
        )
        return await getattr(hooks.stub, method)(request, metadata=actor.metadata())

    return ask


async def _replay(hooks: Hooks, actor: Actor, endpoint_id: str) -> Any:
    message_id = await hooks.house.database.pool.fetchval("SELECT min(id) FROM webhook_messages")
    request = pb.ReplayWebhookMessageRequest(
        organization_id=actor.organization_id,
        message_id=message_id or "msg_x",
        endpoint_id=endpoint_id,
    )
    return await hooks.stub.ReplayWebhookMessage(request, metadata=actor.metadata())


ASKED: dict[str, Ask] = {
    "get": _endpoint("GetWebhookEndpoint"),
    "update": _endpoint("UpdateWebhookEndpoint", enabled=False),
    "delete": _endpoint("DeleteWebhookEndpoint"),
    "secret": _endpoint("GetWebhookEndpointSecret"),
    "rotate": _endpoint("RotateWebhookEndpointSecret"),
    "test": _endpoint("TestWebhookEndpoint"),
    "recover": _endpoint("RecoverWebhookEndpoint", since=Timestamp(seconds=1)),
    "replay": _replay,
}
HTTPS = {"url": "https://hooks.example/x?token=hush"}


@pytest.mark.parametrize("what", ASKED)
async def test_an_endpoint_of_others_looks_unknown(hooks: Hooks, what: str) -> None:
    owner, stranger = await hooks.owner(), await hooks.owner()
    id_, _ = await hooks.endpoint(owner, **HTTPS)
    await hooks.happen(created(owner.organization_id))
    for named in (id_, UNKNOWN, "no-uuid"):
        said = await refusal(ASKED[what](hooks, stranger, named))
        assert said == ("NOT_FOUND", "WEBHOOK_ENDPOINT_NOT_FOUND"), named
    assert (await hooks.show(owner, id_)).revision == 1


@pytest.mark.parametrize("what", ASKED)
async def test_who_owns_no_longer_is_refused(hooks: Hooks, what: str) -> None:
    """Whatever the caller's token still says."""
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner, **HTTPS)
    member = await owner.joined()
    said = await refusal(ASKED[what](hooks, member.at(owner.organization_id), id_))
    assert said == ("PERMISSION_DENIED", "OWNER_REQUIRED")


async def test_messages_of_others_look_unknown(hooks: Hooks) -> None:
    owner, stranger = await hooks.owner(), await hooks.owner()
    await hooks.endpoint(owner, **HTTPS)
    await hooks.happen(created(owner.organization_id))
    (message,) = await hooks.messages(owner)
    for named in (message.id, "msg_unknown", "nul\x00"):
        unknown = ("NOT_FOUND", "WEBHOOK_MESSAGE_NOT_FOUND")
        assert await refusal(hooks.attempts(stranger, named)) == unknown
        request = pb.ReplayWebhookMessageRequest(
            organization_id=stranger.organization_id, message_id=named
        )
        replaying = hooks.stub.ReplayWebhookMessage(request, metadata=stranger.metadata())
        assert await refusal(replaying) == unknown
    assert await hooks.messages(stranger) == []


@pytest.mark.parametrize(
    "url",
    [
        *("", "hooks.example", "http://hooks.example", "ftp://hooks.example", "https://"),
        *("https://user:secret@hooks.example", "https://hooks.example:0", "https://a b.example"),
        *("https://127.0.0.1/x", "https://[::1]/x", "https://10.1.2.3", "https://169.254.169.254/"),
        *("https://[::ffff:127.0.0.1]/", "https://hooks.example/#x", "https://hooks.example\\@x"),
        "https://" + "a" * 2_048,
    ],
)
async def test_an_address_that_may_not_be_called_is_refused(hooks: Hooks, url: str) -> None:
    owner = await hooks.owner()
    invalid = ("INVALID_ARGUMENT", "WEBHOOK_URL_INVALID")
    assert await refusal(hooks.endpoint(owner, url=url)) == invalid
    id_, _ = await hooks.endpoint(owner, **HTTPS)
    assert await refusal(_endpoint("UpdateWebhookEndpoint", url=url)(hooks, owner, id_)) == invalid


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"event_types": ["snapshot.eaten"]}, "WEBHOOK_EVENT_TYPE_UNKNOWN"),
        ({"description": "x" * 1_025}, "WEBHOOK_DESCRIPTION_INVALID"),
        ({"description": "nul\x00"}, "WEBHOOK_DESCRIPTION_INVALID"),
    ],
)
async def test_what_makes_no_endpoint_is_refused(
    hooks: Hooks, given: dict[str, Any], reason: str
) -> None:
    owner = await hooks.owner()
    assert await refusal(hooks.endpoint(owner, **HTTPS, **given)) == ("INVALID_ARGUMENT", reason)


async def test_what_is_disabled_is_sent_nothing_by_hand(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner, **HTTPS, disabled=True)
    await hooks.happen(created(owner.organization_id))
    for what in ("test", "recover", "replay"):
        said = await refusal(ASKED[what](hooks, owner, id_))
        assert said == ("FAILED_PRECONDITION", "WEBHOOK_ENDPOINT_DISABLED")


async def test_what_was_missed_while_disabled_is_recovered(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner, "snapshot.created", **HTTPS, disabled=True)
    await hooks.happen(created(owner.organization_id))
    await _endpoint("UpdateWebhookEndpoint", enabled=True)(hooks, owner, id_)
    assert (await ASKED["recover"](hooks, owner, id_)).deliveries == 1


async def test_there_is_a_most(hooks: Hooks) -> None:
    owner = await hooks.owner()
    made = [hooks.endpoint(owner, **HTTPS) for _ in range(MOST_ENDPOINTS + 3)]
    ended = await asyncio.gather(*made, return_exceptions=True)
    assert sum(isinstance(e, BaseException) for e in ended) == 3
    said = await refusal(hooks.endpoint(owner, **HTTPS))
    assert said == ("PERMISSION_DENIED", "WEBHOOK_ENDPOINT_LIMIT_REACHED")


async def test_it_is_made_once_for_a_key_and_its_secret_is_kept_sealed(hooks: Hooks) -> None:
    owner = await hooks.owner()
    first = await hooks.endpoint(owner, **HTTPS, request_id="k")
    assert await hooks.endpoint(owner, **HTTPS, request_id="k") == first
    other = await refusal(hooks.endpoint(owner, url="https://other.example", request_id="k"))
    assert other == ("ALREADY_EXISTS", "IDEMPOTENCY_KEY_REUSED")
    pool = hooks.house.database.pool
    for table in ("idempotency", "webhook_endpoints", "outbox"):
        rows = await pool.fetch(f"SELECT * FROM {table}")
        assert rows
        assert not any(first[1].encode() in bytes(str(v), "utf-8") for r in rows for v in r)
        kept = [v for r in rows for v in r if isinstance(v, bytes)]
        assert not any(first[1].encode() in v for v in kept)


async def test_a_change_counts_and_may_have_a_condition(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner, **HTTPS)
    change = _endpoint(
        "UpdateWebhookEndpoint",
        if_revision=1,
        description="for us",
        event_types=pb.WebhookEventTypes(names=["snapshot.removed", "snapshot.created"]),
    )
    changed = (await change(hooks, owner, id_)).endpoint
    assert (changed.revision, changed.description) == (2, "for us")
    assert changed.event_types == ["snapshot.created", "snapshot.removed"]
    assert await refusal(change(hooks, owner, id_)) == ("ABORTED", "REVISION_MISMATCH")


async def test_each_change_is_audited_once_without_what_may_be_secret(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner, **HTTPS)
    await hooks.happen(created(owner.organization_id))
    done = ("update", "rotate", "delete")
    for what in done:
        await ASKED[what](hooks, owner, id_)
    told = [p for t, p in await hooks.house.events(owner.organization_id) if t == "audited"]
    assert [t["action"] for t in told] == ["update"] * 4
    assert {t["target_id"] for t in told} == {owner.organization_id}
    assert all("hush" not in t["metadata"] and "whsec" not in t["metadata"] for t in told)


async def test_deleted_with_everything_of_it(hooks: Hooks) -> None:
    owner = await hooks.owner()
    id_, _ = await hooks.endpoint(owner, **HTTPS)
    await hooks.happen(created(owner.organization_id))
    await ASKED["delete"](hooks, owner, id_)
    assert await hooks.house.database.pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 0
    await hooks.endpoint(owner, disabled=True, **HTTPS)
    await hooks.happen(created(owner.organization_id))
    await hooks.house.delete(owner.user_id, owner.organization_id)
    for table in ("webhook_messages", "webhook_endpoints"):
        assert await hooks.house.database.pool.fetchval(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize(
    ("given", "code", "reason"),
    [
        ({"organization_id": UNKNOWN}, "NOT_FOUND", "ORGANIZATION_NOT_FOUND"),
        ({"event_type": "ping"}, "INVALID_ARGUMENT", "WEBHOOK_EVENT_TYPE_UNKNOWN"),
        ({"payload": "[]"}, "INVALID_ARGUMENT", "WEBHOOK_PAYLOAD_INVALID"),
        ({"payload": "{"}, "INVALID_ARGUMENT", "WEBHOOK_PAYLOAD_INVALID"),
        (
            {"payload": '{"a":"' + "x" * 65_536 + '"}'},
            "INVALID_ARGUMENT",
            "WEBHOOK_PAYLOAD_INVALID",
        ),
    ],
)
async def test_what_an_administrator_may_not_send(
    hooks: Hooks, given: dict[str, str], code: str, reason: str
) -> None:
    owner = await hooks.owner()
    fine = {"organization_id": owner.organization_id, "event_type": "sandbox.created"}
    request = pb.AdminSendWebhookMessageRequest(**{**fine, "payload": "{}", **given})
    sending = hooks.stub.AdminSendWebhookMessage(request, metadata=hooks.house.as_admin())
    assert await refusal(sending) == (code, reason)


@pytest.mark.parametrize("given", [{"page_size": 0}, {"page_size": 201}])
async def test_a_page_has_a_size(hooks: Hooks, given: dict[str, int]) -> None:
    said = await refusal(hooks.page(await hooks.owner(), **given))
    assert said == ("INVALID_ARGUMENT", "WEBHOOK_PAGE_INVALID")


async def test_a_page_begins_where_one_ended(hooks: Hooks) -> None:
    owner = await hooks.owner()
    for token in ("x", "WyJhIiwiYiJd"):
        said = await refusal(hooks.page(owner, page_token=token))
        assert said == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")


async def test_since_when_webhooks_are_there(hooks: Hooks) -> None:
    owner = await hooks.owner()
    request = pb.GetWebhookStatusRequest(organization_id=owner.organization_id)
    answer = await hooks.stub.GetWebhookStatus(request, metadata=owner.metadata())
    of_any = pb.AdminGetWebhookStatusRequest(organization_id=owner.organization_id)
    told = await hooks.stub.AdminGetWebhookStatus(of_any, metadata=hooks.house.as_admin())
    assert told.create_time == answer.create_time
    unknown = hooks.stub.AdminGetWebhookStatus(
        pb.AdminGetWebhookStatusRequest(organization_id=UNKNOWN), metadata=hooks.house.as_admin()
    )
    assert await refusal(unknown) == ("NOT_FOUND", "ORGANIZATION_NOT_FOUND")
