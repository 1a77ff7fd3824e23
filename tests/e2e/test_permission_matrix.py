"""Every operation × everybody: whoever the contract lets in is let in, and nobody else, each with the reason it states.

What is expected comes from the access options of the protos alone. No request changes anything: bodies are cut off,
ids name nothing, and the organization is a personal one, which cannot be deleted. Leaving it comes last.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass

import httpx
import pytest
from fastapi.routing import APIRoute

from chassis.grpc.access import Rule
from gateway.access import rule_of
from gateway.app import application
from tests.e2e.actors import LET_IN, Actor, Cast, expected
from tests.e2e.tenants import Issuing

AT_ONCE = 16
# Refusals by the door. Whatever else is answered, a refusal of the operation itself too, came from behind it.
DOOR = {
    *("CREDENTIAL_INVALID", "CALLER_TOKEN_INVALID", "SERVICE_REFUSED", "SYSTEM_ADMIN_REQUIRED"),
    *("ACCOUNT_KEY_REQUIRED", "ORGANIZATION_REQUIRED", "ORGANIZATION_FORBIDDEN"),
    *("OWNER_REQUIRED", "PERMISSION_MISSING"),
}
NOT_OFFERED = ("NOT_IMPLEMENTED", "UNIMPLEMENTED", "WEBHOOK_PORTAL_NOT_OFFERED")
SHAPE = {"path", "timestamp", "statusCode", "error", "message", "code", "source"}
NOTHING = "00000000-0000-4000-8000-00000000dead"


@dataclass(frozen=True)
class Operation:
    name: str
    method: str
    path: str
    rule: Rule

    @property
    def in_path(self) -> bool:
        return "{organizationId}" in self.path

    def url(self, organization: str) -> str:
        path = self.path.replace("{organizationId}", organization or NOTHING)
        while "{" in path:
            head, _, rest = path.partition("{")
            path = head + NOTHING + rest.partition("}")[2]
        return path.removeprefix("/api")


@dataclass(frozen=True)
class Difference:
    operation: Operation
    actor: Actor
    wanted: str
    got: str

    def __str__(self) -> str:
        return f"{self.operation.name} as {self.actor.name}: wanted {self.wanted}, got {self.got}"


def operations() -> list[Operation]:
    return [
        Operation(
            route.operation_id or route.name, method, route.path_format, rule_of(route.endpoint)
        )
        for route in application("1").routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


@pytest.fixture(scope="module")
def cast(issuing: Issuing) -> list[Actor]:
    cast = Cast(issuing, _words(operations())).everybody()
    assert len({a.name for a in cast}) == len(cast)
    return cast


@pytest.mark.timeout(900)
def test_the_door_is_where_the_contract_puts_it(issuing: Issuing, cast: list[Actor]) -> None:
    everything = operations()
    leaving = [o for o in everything if o.name == "leaveOrganization"]
    harmless = [o for o in everything if o not in leaving]
    pairs = [(o, a) for o in harmless for a in cast]
    differences, outcomes = asyncio.run(_ask(issuing.system.url, pairs, AT_ONCE))
    # Whoever is let in leaves, once; those who are to be refused ask before.
    last = [(o, a) for o in leaving for a in _refused_first(o, cast)]
    more, other_outcomes = asyncio.run(_ask(issuing.system.url, last, 1))
    differences, outcomes = differences + more, outcomes + other_outcomes
    if differences:
        report = "\n".join(sorted(map(str, differences)))
        pytest.fail(f"{len(differences)} of {outcomes.total()} differ:\n{report}", pytrace=False)
    _check_undamaged(issuing, cast)


def test_each_operation_is_open_to_some_and_closed_to_others(cast: list[Actor]) -> None:
    """Had nobody been let in, or nobody refused, the matrix would have shown nothing."""
    for operation in operations():
        said = {expected(operation.rule, operation.in_path, actor) for actor in cast}
        assert LET_IN in said, operation.name
        assert operation.rule.public or len(said) > 1, operation.name


def _words(everything: list[Operation]) -> set[str]:
    """Return every permission and every scope that some rule asks for."""
    rules = [o.rule for o in everything]
    return {w for r in rules for w in (r.permission, r.key_permission, r.read_scope) if w}


def _refused_first(leaving: Operation, cast: list[Actor]) -> list[Actor]:
    refused = [a for a in cast if expected(leaving.rule, True, a) != LET_IN]
    let_in = {a.user: a for a in cast if a not in refused}
    return [*refused, *let_in.values()]


async def _ask(
    url: str, pairs: list[tuple[Operation, Actor]], at_once: int
) -> tuple[list[Difference], Counter[str]]:
    """Send every request over a few connections; return what differs, and how often was answered what."""
    differences: list[Difference] = []
    outcomes: Counter[str] = Counter()
    waiting = iter(pairs)
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)

    async def work(client: httpx.AsyncClient) -> None:
        for operation, actor in waiting:
            wanted = expected(operation.rule, operation.in_path, actor)
            got = await _answer(client, operation, actor)
            outcomes[got] += 1
            if got != wanted:
                differences.append(Difference(operation, actor, wanted, got))

    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        await asyncio.gather(*(work(client) for _ in range(at_once)))
    return differences, outcomes


async def _answer(client: httpx.AsyncClient, operation: Operation, actor: Actor) -> str:
    """Return what the door said; `let in` for whatever came from behind it."""
    has_body = operation.method in ("POST", "PUT", "PATCH")
    answer = await client.request(
        operation.method,
        operation.url(actor.target),
        headers=actor.headers(),
        content=b'{"cut": ' if has_body else None,
    )
    if answer.is_success:
        return LET_IN
    body = answer.json()
    if not set(body) >= SHAPE or body["statusCode"] != answer.status_code:
        return f"{answer.status_code} without the shape of an error: {body}"
    if answer.status_code >= 500 and body["code"] not in NOT_OFFERED:
        return f"{answer.status_code} {body['code']}"
    return f"{answer.status_code} {body['code']}" if body["code"] in DOOR else LET_IN


def _check_undamaged(issuing: Issuing, cast: list[Actor]) -> None:
    """The owner still owns, and nothing was made or removed on the way."""
    owner = next(a for a in cast if a.name == "owner")
    members = issuing.get(f"/organizations/{owner.target}/users", owner.credential)
    assert [m["role"] for m in members if m["userId"] == owner.user] == ["owner"]
    rows = issuing.system.sql(
        "orgs",
        "SELECT (SELECT count(*) FROM invitations WHERE organization_id = $1),"
        " (SELECT count(*) FROM regions WHERE organization_id = $1)",
        owner.target,
    )
    assert tuple(rows[0]) == (0, 0)
