"""From the answer to a change that takes something away until a second gateway refuses it."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import httpx

from bench import fill, usage
from bench.deaf import deaf
from bench.gateways import second_gateway
from bench.system import System, running
from bench.table import Figure

_NEVER_SECONDS = 35.0
# What a caller may still do who is known already, when no word of a revocation arrives any more.
_CEILING_SECONDS = 30.0
_KEYS_OF_THE_DEAF = 8


def measure(rounds: int = 200) -> list[Figure]:
    with running() as system:
        figures: list[Figure] = []
        with second_gateway(system) as url:
            for name, act in (
                ("key deleted", _key_deleted),
                ("member removed", _member_removed),
                ("role edited", _role_edited),
                ("organization suspended", _suspended),
            ):
                figures += _figures(name, act(system, url, rounds))
        return [*figures, _cut(system)]


def _figures(name: str, took: list[float]) -> list[Figure]:
    took = sorted(took)
    return [
        Figure(f"{name}, p50", took[len(took) // 2], "ms"),
        Figure(f"{name}, p99", took[int(len(took) * 0.99)], "ms", 100),
        Figure(f"{name}, max", took[-1], "ms"),
    ]


def _until_refused(ask: Callable[[], httpx.Response], refused: Callable[[int], bool]) -> float:
    """Ask again and again; return how many ms from now until it is refused."""
    started = time.perf_counter()
    while not refused(ask().status_code):
        if time.perf_counter() - started > _NEVER_SECONDS:
            raise RuntimeError("it was never refused")
    return (time.perf_counter() - started) * 1000


def _await(ask: Callable[[], httpx.Response], status: int) -> None:
    """Wait until it is let in (again)."""
    deadline = time.monotonic() + _NEVER_SECONDS
    while (answer := ask()).status_code != status:
        if time.monotonic() > deadline:
            raise RuntimeError(f"wanted {status}, got {answer.status_code} {answer.text}")


def _key_deleted(system: System, url: str, rounds: int) -> list[float]:
    took = []
    for number in range(rounds):
        secret = _new_key(system, f"r{number}")
        with _client(url, secret) as other:
            ask = partial(other.get, "/api-keys/current")
            for _ in range(2):
                ask().raise_for_status()
            system.client.delete(f"/api-keys/r{number}").raise_for_status()
            took.append(_until_refused(ask, lambda status: status == 401))
    return took


def _member_removed(system: System, url: str, rounds: int) -> list[float]:
    organization, guest = system.organization("removals"), _Guest(system, "removed@bench.example")
    with _client(url, guest.key) as other:

        def ask() -> httpx.Response:
            return other.get(f"/organizations/{organization}")

        def once() -> float:
            guest.join(organization)
            _await(ask, 200)
            path = f"/organizations/{organization}/users/{guest.user_id}"
            system.client.delete(path).raise_for_status()
            return _until_refused(ask, lambda status: status == 403)

        return [once() for _ in range(rounds)]


def _role_edited(system: System, url: str, rounds: int) -> list[float]:
    organization, guest = system.organization("roles"), _Guest(system, "edited@bench.example")
    roles = f"/organizations/{organization}/roles"
    role = {"name": "writer", "description": "", "permissions": ["write:snapshots"]}
    made = system.client.post(roles, json=role)
    made.raise_for_status()
    guest.join(organization, made.json()["id"])
    path = f"{roles}/{made.json()['id']}"
    with _client(url, guest.key, organization) as other:

        def ask() -> httpx.Response:
            # Cut off: whoever is let in is told so, and nothing is made.
            return other.post("/snapshots", content=b"{")

        def once() -> float:
            system.client.put(path, json=role).raise_for_status()
            _await(ask, 400)
            lesser = {**role, "permissions": ["read:volumes"]}
            system.client.put(path, json=lesser).raise_for_status()
            return _until_refused(ask, lambda status: status == 403)

        return [once() for _ in range(rounds)]


def _suspended(system: System, url: str, rounds: int) -> list[float]:
    organization = system.organization("suspensions")
    fill.load(system.database_url("snapshots"), {organization: 1})
    body = {"name": "base-0000000", "imageName": "127.0.0.1:9/nothing:1"}
    with _client(url, system.key_of(organization)) as other:

        def ask() -> httpx.Response:
            # The name is taken, so that nothing is made: the suspension is refused before that.
            return other.post("/snapshots", json=body)

        def once() -> float:
            _await(ask, 409)
            path = f"/organizations/{organization}"
            system.client.post(f"{path}/suspend").raise_for_status()
            took = _until_refused(ask, lambda status: status == 403)
            system.client.post(f"{path}/unsuspend").raise_for_status()
            return took

        return [once() for _ in range(rounds)]


def _cut(system: System) -> Figure:
    """Delete keys that a gateway knows, of different ages, while no revocation reaches it."""
    auth = usage.environment(system.pid_of("gateway serve"))["GATEWAY_AUTH_TARGET"]
    with ExitStack() as stack:
        behind = stack.enter_context(deaf(auth))
        url = stack.enter_context(second_gateway(system, GATEWAY_AUTH_TARGET=behind))
        known = []
        for number in range(_KEYS_OF_THE_DEAF):
            other = stack.enter_context(_client(url, _new_key(system, f"cut{number}")))
            other.get("/api-keys/current").raise_for_status()
            known.append(other)
        for number in range(_KEYS_OF_THE_DEAF):
            system.client.delete(f"/api-keys/cut{number}").raise_for_status()
        deleted, longest = time.perf_counter(), 0.0
        for other in known:
            _until_refused(partial(other.get, "/api-keys/current"), lambda status: status == 401)
            longest = time.perf_counter() - deleted
        if longest < 1:
            raise RuntimeError("the gateway was told: the watch was not cut")
        return Figure("key deleted, stream cut, max", longest, "s", _CEILING_SECONDS)


class _Guest:
    """A person with an account key, put into organizations past the API."""

    def __init__(self, system: System, email: str) -> None:
        self.key = system.ratoon("user", "add", email).split()[-1]
        self._system = system
        with _client(system.url, self.key) as me:
            self.user_id = str(me.get("/users/me").json()["id"])

    def join(self, organization: str, role: str = "") -> None:
        sql, who = self._system.sql, (organization, self.user_id)
        member = "INSERT INTO members (organization_id, user_id, role) VALUES ($1, $2, 'member')"
        assign = "INSERT INTO member_roles (organization_id, user_id, role_id) VALUES ($1, $2, $3)"
        sql("orgs", member, *who)
        if role:
            sql("orgs", assign, *who, role)


def _new_key(system: System, name: str) -> str:
    made = system.client.post("/api-keys", json={"name": name, "permissions": []})
    made.raise_for_status()
    return str(made.json()["value"])


def _client(url: str, credential: str, organization: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {credential}"}
    if organization:
        headers["X-Daytona-Organization-ID"] = organization
    return httpx.Client(base_url=url, headers=headers, timeout=60)
