"""People as administrators of the installation make, list and disable them."""

import asyncio
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from chassis.grpc.caller import Caller
from chassis.pages import token_of
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import user_service_pb2 as pb
from services.auth.oidc.issuer import OidcIssuer
from services.auth.oidc.keys import Keys
from tests.integration.auth.conftest import World, refusal
from tests.integration.auth.test_revocations import watching
from tests.issuer import AUDIENCE, TestIssuer

INVALID = grpc.StatusCode.INVALID_ARGUMENT
UNKNOWN = (grpc.StatusCode.UNAUTHENTICATED, "CREDENTIAL_INVALID")
NOT_FOUND = (grpc.StatusCode.NOT_FOUND, "USER_NOT_FOUND")
LAST_ADMIN = (grpc.StatusCode.FAILED_PRECONDITION, "LAST_ADMIN")


@pytest.fixture
def issuer(provider: TestIssuer) -> OidcIssuer:
    return OidcIssuer(Keys(provider.url), AUDIENCE)


@pytest.fixture
def admin(world: World) -> Any:
    caller = Caller(credential="api_key", user_id="root", api_key_id="k", system_admin=True)
    return world.keyring.metadata(caller)


async def _create(world: World, me: Any, **fields: Any) -> pb.CreateUserResponse:
    request = pb.CreateUserRequest(**{"name": "Ada", **fields})
    answer: pb.CreateUserResponse = await world.users.CreateUser(request, metadata=me)
    return answer


async def _disable(world: World, me: Any, disabled: bool = True, **who: Any) -> Any:
    request = pb.SetUserDisabledRequest(disabled=disabled, **who)
    return (await world.users.SetUserDisabled(request, metadata=me)).user


async def _list(world: World, me: Any, size: int = 0, token: str = "") -> pb.ListUsersResponse:
    request = pb.ListUsersRequest(page_size=size, page_token=token)
    answer: pb.ListUsersResponse = await world.users.ListUsers(request, metadata=me)
    return answer


async def test_a_made_user_is_the_issuers_from_the_first_login_on(
    world: World,
    admin: Any,
    provider: TestIssuer,
) -> None:
    made = await _create(world, admin, id="auth0|ada", email="old@example.org")
    assert made.organization_id == world.orgs.personal["auth0|ada"]
    assert (made.user.email, made.user.email_verified, made.user.local) == (
        "old@example.org",
        False,
        False,
    )
    caller = (await world.authenticate(provider.token())).caller
    assert (caller.user_id, caller.email, caller.email_verified) == (
        "auth0|ada",
        "ada@example.org",
        True,
    )
    call = _create(world, admin, id="auth0|ada")
    assert await refusal(call) == (grpc.StatusCode.ALREADY_EXISTS, "USER_EXISTS")


async def test_a_user_without_an_id_is_made_here(world: World, admin: Any) -> None:
    made = await _create(
        world, admin, email="Bob@example.org", email_verified=True, system_admin=True
    )
    assert made.user.local
    assert made.user.system_role == access_pb2.SYSTEM_ROLE_ADMIN
    request = pb.IssueAccountKeyRequest(email="bob@example.org")
    issued = await world.users.IssueAccountKey(request, metadata=world.by("operator"))
    assert (await world.authenticate(issued.secret)).caller.user_id == made.user.id
    call = _create(world, admin, email="BOB@example.org")
    assert await refusal(call) == (grpc.StatusCode.ALREADY_EXISTS, "USER_EXISTS")
    nobody = await _create(world, admin)
    assert (nobody.user.email, nobody.user.local) == ("", False)


async def test_what_no_user_can_be_is_refused(world: World, admin: Any) -> None:
    for id_ in (" ", " a", "a\0b", "a\n", "x" * 256, "service-account-1"):
        assert await refusal(_create(world, admin, id=id_)) == (INVALID, "USER_ID_INVALID")
    for name in ("", " ", "<b>", "www.x", "a\0b"):
        assert await refusal(_create(world, admin, name=name)) == (INVALID, "USER_NAME_INVALID")
    call = _create(world, admin, email="x")
    assert await refusal(call) == (INVALID, "EMAIL_INVALID")
    assert await world.database.pool.fetchval("SELECT count(*) FROM users") == 0


async def test_while_orgs_is_away_the_rest_is_left_for_the_first_call(
    world: World,
    admin: Any,
    provider: TestIssuer,
) -> None:
    world.orgs.away = True
    call = _create(world, admin, id="auth0|ada")
    assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE")
    world.orgs.away = False
    await world.authenticate(provider.token())
    assert list(world.orgs.personal) == ["auth0|ada"]


async def test_the_same_request_again_goes_on_where_the_first_one_ended(
    world: World, admin: Any
) -> None:
    wanted = {"name": "Ada", "default_region_id": "eu", "request_id": "k"}
    world.orgs.away = True
    call = _create(world, admin, **wanted)
    assert await refusal(call) == (grpc.StatusCode.UNAVAILABLE, "ORGANIZATIONS_UNAVAILABLE")
    world.orgs.away = False
    made = await _create(world, admin, **wanted)
    assert world.orgs.personal == {made.user.id: made.organization_id}
    assert world.orgs.ensured[-1].default_region_id == "eu"
    again = await asyncio.gather(*(_create(world, admin, **wanted) for _ in range(4)))
    assert [(a.user.id, a.organization_id) for a in again] == [
        (made.user.id, made.organization_id)
    ] * 4
    assert await world.database.pool.fetchval("SELECT count(*) FROM users") == 1
    reused = _create(world, admin, **wanted | {"name": "Bob"})
    assert await refusal(reused) == (grpc.StatusCode.ALREADY_EXISTS, "IDEMPOTENCY_KEY_REUSED")
    long = _create(world, admin, request_id="k" * 256)
    assert await refusal(long) == (INVALID, "IDEMPOTENCY_KEY_INVALID")


async def test_the_region_of_the_personal_organization_is_passed_on(
    world: World, admin: Any
) -> None:
    await _create(world, admin, id="ada", default_region_id="eu")
    assert world.orgs.ensured[-1].default_region_id == "eu"


async def test_a_walk_shows_everybody_once_oldest_first(world: World, admin: Any) -> None:
    ids = [(await _create(world, admin, id=f"u{i}")).user.id for i in range(5)]
    same = "UPDATE users SET created_at = (SELECT min(created_at) FROM users) WHERE id IN ('u0', 'u1', 'u2')"
    await world.database.pool.execute(same)
    assert [u.id for u in (await _list(world, admin)).users] == ids
    for size in range(1, 7):
        walked, token = list[str](), ""
        while True:
            page = await _list(world, admin, size, token)
            walked += [u.id for u in page.users]
            token = page.next_page_token
            if not token:
                break
        assert walked == ids
    for wrong in ("x", token_of(1), token_of(-1, "a"), token_of(2**60, "a"), token_of("a", 1)):
        call = _list(world, admin, 1, wrong)
        assert await refusal(call) == (INVALID, "PAGE_TOKEN_INVALID")


async def test_one_is_got_by_id(world: World, admin: Any) -> None:
    made = await _create(world, admin, id="auth0|ada")
    get = world.users.GetUser
    got = await get(pb.GetUserRequest(user_id="auth0|ada"), metadata=admin)
    assert got.user == made.user
    for unknown in ("", "x", "a\0b"):
        call = get(pb.GetUserRequest(user_id=unknown), metadata=admin)
        assert await refusal(call) == NOT_FOUND


async def test_only_administrators_look_after_people(world: World) -> None:
    added, personal = await world.add_user()
    me = world.owner(added.user.id, personal)
    for call in (
        _create(world, me),
        _list(world, me),
        world.users.GetUser(pb.GetUserRequest(user_id="x"), metadata=me),
        _disable(world, me, user_id="x"),
        world.users.RegenerateKeyPair(pb.RegenerateKeyPairRequest(user_id="x"), metadata=me),
    ):
        assert await refusal(call) == (grpc.StatusCode.PERMISSION_DENIED, "SYSTEM_ADMIN_REQUIRED")
    assert (await refusal(_create(world, world.by("operator"))))[1] == "ORGANIZATION_REQUIRED"


async def test_a_disabled_user_is_refused_everywhere_at_once(
    world: World,
    admin: Any,
    provider: TestIssuer,
) -> None:
    token = provider.token()
    await world.authenticate(token)
    user = "auth0|ada"
    organizations = [world.orgs.organization(user) for _ in range(2)]
    secrets = [(await world.create_key(world.owner(user, o), o)).secret for o in organizations]
    answers = [await world.authenticate(c) for c in (token, *secrets)]
    async with watching(world) as watcher:
        gone = await _disable(world, admin, user_id=user)
        assert gone.HasField("disable_time")
        await watcher.until(("", user, ""))
        assert all(watcher.refuses(a.token) for a in answers)
    for credential in (token, *secrets, provider.token(email="new@example.org")):
        assert await refusal(world.authenticate(credential)) == UNKNOWN
    # What the issuer says of somebody who is disabled changes nothing.
    assert await world.database.pool.fetchval("SELECT email FROM users") == "ada@example.org"
    assert (await _disable(world, admin, user_id=user)).disable_time == gone.disable_time
    back = await _disable(world, admin, disabled=False, user_id=user)
    assert not back.HasField("disable_time")
    for credential in (token, *secrets):
        await world.authenticate(credential)
    rows = await world.database.pool.fetch(
        "SELECT payload->>'target_id', payload->>'metadata' FROM outbox"
        " WHERE type = 'audited' AND payload->>'action' = 'update' ORDER BY id"
    )
    assert [tuple(r) for r in rows] == [(user, '{"disabled":true}'), (user, '{"disabled":false}')]


async def test_account_keys_stop_too_and_the_operator_may_say_so(world: World) -> None:
    added, _ = await world.add_user("ada@example.org")
    operator = world.by("operator")
    await _disable(world, operator, email="ADA@example.org")
    assert await refusal(world.authenticate(added.secret)) == UNKNOWN
    await _disable(world, operator, disabled=False, email="ada@example.org")
    await world.authenticate(added.secret)
    for email, user_id in (("nobody@example.org", ""), ("", "x"), ("", ""), ("", "a\0b")):
        call = _disable(world, operator, email=email, user_id=user_id)
        assert await refusal(call) == NOT_FOUND
    listed = await _list(world, operator)
    assert [u.email for u in listed.users] == ["ada@example.org"]


async def test_the_last_administrator_stays(world: World, admin: Any) -> None:
    one, _ = await world.add_user(system_admin=True)
    assert await refusal(_disable(world, admin, user_id=one.user.id)) == LAST_ADMIN
    two, _ = await world.add_user(system_admin=True)
    other, _ = await world.add_user()
    await _disable(world, admin, user_id=one.user.id)
    assert await refusal(_disable(world, admin, user_id=two.user.id)) == LAST_ADMIN
    await _disable(world, admin, user_id=other.user.id)
    assert (await world.authenticate(two.secret)).caller.user_id == two.user.id


async def test_of_five_administrators_disabled_at_once_one_is_left(
    world: World, admin: Any
) -> None:
    made = [await world.add_user(system_admin=True) for _ in range(5)]
    calls = (_disable(world, admin, user_id=a.user.id) for a, _ in made)
    answers = await asyncio.gather(*calls, return_exceptions=True)
    refused = [a for a in answers if isinstance(a, grpc.aio.AioRpcError)]
    assert [e.code() for e in refused] == [grpc.StatusCode.FAILED_PRECONDITION]
    left = "SELECT count(*) FROM users WHERE system_role = 'admin' AND disabled_at IS NULL"
    assert await world.database.pool.fetchval(left) == 1


async def test_disabled_during_first_logins_nobody_stays_in(
    world: World,
    admin: Any,
    provider: TestIssuer,
) -> None:
    token = provider.token()

    async def until_disabled() -> grpc.StatusCode:
        request = pb.SetUserDisabledRequest(user_id="auth0|ada", disabled=True)
        code = grpc.StatusCode.NOT_FOUND
        while code is grpc.StatusCode.NOT_FOUND:
            code = await world.users.SetUserDisabled(request, metadata=admin).code()
        return code

    async with watching(world) as watcher:
        logins = [asyncio.create_task(world.authenticate(token)) for _ in range(10)]
        code = await until_disabled()
        answers = await asyncio.gather(*logins, return_exceptions=True)
        assert code is grpc.StatusCode.OK
        await watcher.until(("", "auth0|ada", ""))
        for answer in answers:
            if isinstance(answer, BaseException):
                assert isinstance(answer, grpc.aio.AioRpcError)
                assert answer.code() is grpc.StatusCode.UNAUTHENTICATED
            else:
                assert watcher.refuses(answer.token)
    assert await refusal(world.authenticate(token)) == UNKNOWN


async def test_a_key_pair_is_shown_once_and_half_of_it_kept(world: World, admin: Any) -> None:
    made = await _create(world, admin, id="auth0|ada")
    assert made.user.public_key == ""
    request = pb.RegenerateKeyPairRequest(user_id="auth0|ada")
    first = await world.users.RegenerateKeyPair(request, metadata=admin)
    second = await world.users.RegenerateKeyPair(request, metadata=admin)
    assert first.private_key != second.private_key
    private = load_ssh_private_key(second.private_key.encode(), None)
    assert isinstance(private, Ed25519PrivateKey)
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    assert second.user.public_key == public.decode()
    got = await world.users.GetUser(pb.GetUserRequest(user_id="auth0|ada"), metadata=admin)
    assert got.user == second.user
    body = second.private_key.splitlines()[1]
    stored = await world.database.pool.fetch("SELECT u::text || o::text FROM users u, outbox o")
    assert all(body not in row[0] for row in stored)
    unknown = pb.RegenerateKeyPairRequest(user_id="x")
    assert await refusal(world.users.RegenerateKeyPair(unknown, metadata=admin)) == NOT_FOUND


async def test_what_is_done_with_people_is_told(world: World, admin: Any) -> None:
    await _create(world, admin, id="auth0|ada")
    request = pb.RegenerateKeyPairRequest(user_id="auth0|ada")
    await world.users.RegenerateKeyPair(request, metadata=admin)
    await world.add_user()
    rows = await world.database.pool.fetch(
        "SELECT payload->>'action', payload->>'target_type', origin->>'user_id', origin->>'service'"
        " FROM outbox WHERE type = 'audited' ORDER BY id"
    )
    assert [tuple(r) for r in rows] == [
        ("create", "user", "root", ""),
        ("regenerate_key_pair", "user", "root", ""),
        ("create", "user", "", "operator"),
    ]
