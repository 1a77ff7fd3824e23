"""Two tenants name what is the other's, everywhere: it looks unknown, and nothing of it changes."""

import json
import re
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.e2e.strangers import Tenant, rows_of, tenant, unknown
from tests.e2e.tenants import Issuing
from tests.e2e.test_permission_matrix import Operation, operations

OPERATIONS = {o.name: o for o in operations()}
# In a path, `id` is of whatever the path is about.
_IDS = {
    "/regions": ("regionId",),
    "/snapshots": ("snapshotId", "snapshotName"),
    "/docker-registry": ("registryId",),
    "/admin/docker-registry": ("registryId",),
    "/admin/snapshots": ("snapshotId",),
}
_REGISTRY = {"name": "stolen", "url": "stolen.example", "username": "", "password": "stolen"}
_ROLES = {"role": "member", "assignedRoleIds": []}
_ROLE = {"name": "stolen", "description": "", "permissions": ["write:snapshots"]}
_QUOTA = {"totalCpuQuota": 1, "totalMemoryQuota": 1, "totalDiskQuota": 1}
# Bodies that would be accepted, so that nothing but what is named can be refused.
BODIES: dict[str, dict[str, Any]] = {
    "createSnapshot": {"imageName": "127.0.0.1:9/nothing:1"},
    "createApiKey": {"permissions": []},
    "updateApiKey": {"permissions": []},
    "updateApiKeyForUser": {"permissions": []},
    "setOrganizationDefaultRegion": {"defaultRegionId": "us"},
    "updateOrganization": {"name": "stolen"},
    "updateOrganizationOtelConfig": {"endpoint": "http://stolen.example:4317"},
    "updateExperimentalConfig": {"stolen": True},
    "updateSandboxDefaultLimitedNetworkEgress": {"sandboxDefaultLimitedNetworkEgress": True},
    "updateOrganizationPreviewWarning": {"previewWarningEnabled": True},
    "updateOrganizationQuota": {"snapshotQuota": 1},
    "updateOrganizationRegionQuota": _QUOTA,
    "suspendOrganization": {"reason": "stolen"},
    "createOrganizationRole": _ROLE,
    "updateOrganizationRole": _ROLE,
    "updateAccessForOrganizationMember": _ROLES,
    "createOrganizationInvitation": {"email": "stolen@example.org", **_ROLES},
    "updateOrganizationInvitation": _ROLES,
    "createServiceAccount": {"name": "stolen", "assignedRoleIds": []},
    "createServiceAccountApiKey": {"name": "stolen", "permissions": []},
    "createRegistry": _REGISTRY,
    "updateRegistry": _REGISTRY,
    "putSnapshotShare": {"rights": ["use"]},
    "setSnapshotImage": {"imageName": "127.0.0.1:9/nothing:1"},
    "createRegion": {"name": "stolen"},
    "updateRegion": {"proxyUrl": "https://stolen.example"},
    "adminSetSnapshotGeneralStatus": {"general": True},
    "bulkSnapshots": {"action": "remove", "ids": [str(uuid4())]},
    "createWebhookEndpoint": {"url": "https://stolen.example"},
    "updateWebhookEndpoint": {"url": "https://stolen.example"},
    "recoverWebhookEndpoint": {"since": "2026-01-01T00:00:00Z"},
    "adminSendWebhook": {"eventType": "snapshot.created", "payload": {}},
}
# Where a body names something, and what of it: the first is a list or a text in which the name is put.
NAMED: list[tuple[str, str, str]] = [
    ("createOrganization", "defaultRegionId", "regionId"),
    ("setOrganizationDefaultRegion", "defaultRegionId", "regionId"),
    ("createSnapshot", "regionId", "regionId"),
    ("createOrganizationInvitation", "assignedRoleIds", "roleId"),
    ("updateOrganizationInvitation", "assignedRoleIds", "roleId"),
    ("updateAccessForOrganizationMember", "assignedRoleIds", "roleId"),
    ("createServiceAccount", "assignedRoleIds", "roleId"),
    ("replayWebhookMessage", "endpointId", "endpointId"),
]
QUERIES: list[tuple[str, str, str]] = [
    ("getTransientPushAccess", "regionId", "regionId"),
    ("getAllSnapshots", "name", "snapshotName"),
    ("getAllSnapshots", "sourceSandboxId", "snapshotId"),
    ("getOrganizationAuditLogs", "actorId", "userId"),
    ("getOrganizationAuditLogs", "targetId", "roleId"),
    ("listApiKeys", "userId", "userId"),
]


@dataclass(frozen=True)
class Attack:
    """A request that names something, once the victim's, once what does not exist."""

    operation: Operation
    credential: str
    things: dict[str, str]
    header: str = ""
    query: tuple[str, str] = ("", "")
    body: tuple[str, str] = ("", "")

    def send(self, client: httpx.Client, *names: str) -> tuple[int, Any, dict[str, str]]:
        """Return status, body and headers, but for path, time and the names themselves."""
        key, value = self.query
        answer = client.request(
            self.operation.method,
            _path(self.operation, self.things),
            headers={"Authorization": f"Bearer {self.credential}", **self._named_header()},
            params={key: value} if key else None,
            content=self._content(),
        )
        text = answer.text
        for named in filter(None, names):
            text = text.replace(json.dumps(named)[1:-1], "<named>")
        said = (
            json.loads(text) if answer.headers.get("content-type") == "application/json" else text
        )
        said = _without(said, _FRESH.get(self.operation.name, frozenset()))
        if isinstance(said, dict) and "statusCode" in said:
            said = {k: v for k, v in said.items() if k not in ("path", "timestamp")}
        elif self.operation.name == "getPushAccess":
            said = _opened(said)
        shown = {k: v for k, v in answer.headers.items() if k not in _DIFFERENT}
        return answer.status_code, said, shown

    def _named_header(self) -> dict[str, str]:
        return {"X-Daytona-Organization-ID": self.header} if self.header else {}

    def _content(self) -> str | None:
        if self.operation.method not in ("POST", "PUT", "PATCH"):
            return None
        body = dict(BODIES.get(self.operation.name, {}))
        if self.operation.name in ("createSnapshot", "createApiKey", "createOrganization"):
            body["name"] = f"stolen-{uuid4().hex[:8]}"
        field, value = self.body
        if field:
            body[field] = [value] if field.endswith("Ids") else value
        return json.dumps(body)


def _without(said: Any, fresh: frozenset[str]) -> Any:
    if isinstance(said, list):
        return [_without(one, fresh) for one in said]
    if isinstance(said, dict):
        return {name: value for name, value in said.items() if name not in fresh}
    return said


def _opened(access: Any) -> dict[str, str]:
    """Return what fresh credentials open rather than what they are: that alone must be the same each time."""
    claims = access["sessionToken"].split(".")[1]
    policy = json.loads(urlsafe_b64decode(claims + "=="))["spol"]
    fresh = ("accessKey", "secret", "sessionToken")
    return {**{k: v for k, v in access.items() if k not in fresh}, "policy": policy}


# What is made anew each time it is asked for.
_FRESH = {
    "getTransientPushAccess": frozenset({"username", "secret", "expiresAt"}),
    # When a key was last used is noted some seconds late.
    **dict.fromkeys(
        ("listApiKeys", "getApiKey", "listServiceAccountApiKeys"), frozenset({"lastUsedAt"})
    ),
}
_DIFFERENT = {"date", "x-request-id", "content-length"}


@dataclass(frozen=True)
class Stage:
    issuing: Issuing
    attacker: Tenant
    victim: Tenant
    client: httpx.Client

    def credentials(self) -> tuple[str, str]:
        return self.attacker.owner.token, self.attacker.key


@pytest.fixture(scope="module")
def stage(issuing: Issuing) -> Iterator[Stage]:
    attacker, victim = tenant(issuing, "attacker"), tenant(issuing, "victim")
    with httpx.Client(base_url=issuing.system.url, timeout=60) as client:
        yield Stage(issuing, attacker, victim, client)


@pytest.fixture(autouse=True)
def unchanged(stage: Stage) -> Iterator[None]:
    """Whatever is tried, the victim has afterwards what it had."""
    before = rows_of(stage.issuing, stage.victim.organization)
    assert len(before) > 8
    yield
    assert rows_of(stage.issuing, stage.victim.organization) == before


def _path(operation: Operation, things: dict[str, str]) -> str:
    def fill_in(match: re.Match[str]) -> str:
        thing = things.get(match[1], "")
        return str(
            httpx.URL("http://h/").copy_with(path="/" + thing).raw_path.decode()[1:]
        ).replace("/", "%2F")

    return re.sub(r"\{(\w+)\}", fill_in, operation.path.removeprefix("/api"))


def _things_of(operation: Operation, parameter: str) -> tuple[str, ...]:
    if parameter == "receiverId":
        return ("organizationId",)
    if parameter != "id":
        return (parameter,)
    path = operation.path.removeprefix("/api")
    return next((things for start, things in _IDS.items() if path.startswith(start)), ("userId",))


def _own(tenant_: Tenant, operation: Operation) -> dict[str, str]:
    """Return what is the tenant's own for each parameter of a path."""
    parameters = re.findall(r"\{(\w+)\}", operation.path)
    own = {p: tenant_.things.get(_things_of(operation, p)[0], "") for p in parameters}
    return {
        p: value or {"sandboxClass": "container", "number": "1"}.get(p, "none")
        for p, value in own.items()
    }


def _leaks(stage: Stage, said: object, named: str = "") -> list[str]:
    """Return what of the victim an answer shows, but for what was named in the question."""
    text = json.dumps(said).replace(named, "")
    return [mark for mark in stage.victim.marks() if mark in text and mark not in named]


def _shows_untold(stage: Stage, said: object) -> list[str]:
    """Return what an answer shows that nobody named; a log repeats what its owner tried in vain."""
    return [mark for mark in stage.victim.untold() if mark in json.dumps(said)]


def _is_log(operation: Operation) -> bool:
    """Tell whether it shows a log: that grows meanwhile, and repeats what its owner named."""
    return "/audit/" in operation.path or operation.name == "listWebhookMessages"


# Whoever has something may share it with whom they like; that this tells nothing has a test of its own.
FREE = {("putSnapshotShare", "receiverId")}
IN_PATHS = sorted(
    {(o.name, p) for o in OPERATIONS.values() for p in re.findall(r"\{(\w+)\}", o.path)} - FREE
)


@pytest.mark.parametrize(("name", "parameter"), IN_PATHS, ids="-".join)
def test_in_a_path(stage: Stage, name: str, parameter: str) -> None:
    operation = OPERATIONS[name]
    for thing in _things_of(operation, parameter):
        for credential in stage.credentials():
            own = _own(stage.attacker, operation)
            header = "" if operation.in_path else stage.attacker.organization
            theirs = stage.victim.things.get(thing, "none")
            answers = []
            for named in (theirs, unknown(thing)):
                attack = Attack(operation, credential, {**own, parameter: named}, header)
                answers.append(attack.send(stage.client, named))
            assert answers[0] == answers[1]
            assert answers[0][0] >= 400, answers[0]
            assert not _leaks(stage, answers[0], theirs)


def test_all_of_a_path_at_once(stage: Stage) -> None:
    """Whoever guesses the organization and everything in it learns no more."""
    for operation in OPERATIONS.values():
        parameters = re.findall(r"\{(\w+)\}", operation.path)
        if len(parameters) < 2:
            continue
        things = {p: _things_of(operation, p)[0] for p in parameters}
        for credential in stage.credentials():
            theirs = {p: stage.victim.things.get(t, "none") for p, t in things.items()}
            nobodys = {p: unknown(t) for p, t in things.items()}
            answers = [
                Attack(operation, credential, t).send(stage.client, *t.values())
                for t in (theirs, nobodys)
            ]
            assert answers[0] == answers[1], operation.name
            assert answers[0][0] >= 400


BY_HEADER = sorted(
    o.name for o in OPERATIONS.values() if o.rule.organization_role and not o.in_path
)


@pytest.mark.parametrize("name", BY_HEADER)
def test_in_the_header(stage: Stage, name: str) -> None:
    """A token may name an organization; a key belongs to one, whatever it says."""
    operation, token, key = OPERATIONS[name], *stage.credentials()
    own, theirs = _own(stage.attacker, operation), stage.victim.organization
    answers = [
        Attack(operation, token, own, header).send(stage.client, header)
        for header in (theirs, str(uuid4()), "abc", "a" * 5_000)
    ]
    assert all(a == answers[0] for a in answers)
    assert (answers[0][0], answers[0][1]["code"]) == (403, "ORGANIZATION_FORBIDDEN")
    if operation.method == "GET":
        said = [Attack(operation, key, own, h).send(stage.client, "")[:2] for h in ("", theirs)]
        if not _is_log(operation):
            assert said[0] == said[1]
            assert not _leaks(stage, said)


@pytest.mark.parametrize(("name", "field", "thing"), NAMED, ids=lambda v: v)
def test_in_a_body(stage: Stage, name: str, field: str, thing: str) -> None:
    if name not in OPERATIONS:
        pytest.fail(f"{name} is not served")
    operation = OPERATIONS[name]
    for credential in stage.credentials():
        answers = []
        theirs = stage.victim.things[thing]
        for named in (theirs, unknown(thing)):
            own = _own(stage.attacker, operation)
            header = "" if operation.in_path else stage.attacker.organization
            attack = Attack(operation, credential, own, header, body=(field, named))
            answers.append(attack.send(stage.client, named))
        assert answers[0] == answers[1]
        assert answers[0][0] in (400, 403, 404), answers[0]
        assert not _leaks(stage, answers[0], theirs)


@pytest.mark.parametrize(("name", "key", "thing"), QUERIES, ids=lambda v: v)
def test_in_a_query(stage: Stage, name: str, key: str, thing: str) -> None:
    operation = OPERATIONS[name]
    for credential in stage.credentials():
        theirs = stage.victim.things[thing]
        said = []
        for named in (theirs, unknown(thing)):
            own, header = _own(stage.attacker, operation), stage.attacker.organization
            attack = Attack(operation, credential, own, header, query=(key, named))
            said.append(attack.send(stage.client, named))
        if not _is_log(operation):
            assert said[0] == said[1]
            assert not _leaks(stage, said[0], theirs)
        assert not _shows_untold(stage, said)


def test_an_organization_in_a_query_means_nothing(stage: Stage) -> None:
    for operation in OPERATIONS.values():
        if operation.method != "GET" or not operation.rule.organization_role:
            continue
        for credential in stage.credentials():
            own, header = _own(stage.attacker, operation), stage.attacker.organization
            for key in ("organizationId", "X-Daytona-Organization-ID", "orgId"):
                query = (key, stage.victim.organization)
                said = Attack(operation, credential, own, header, query).send(stage.client, "")
                plain = Attack(operation, credential, own, header).send(stage.client, "")
                if not _is_log(operation):
                    assert said == plain, operation.name
                    assert not _leaks(stage, said)
                assert not _shows_untold(stage, said)


def test_where_a_page_of_somebody_elses_list_ended(stage: Stage) -> None:
    """Such a word is a place, not a key: it opens nothing but the asker's own list, if it opens anything."""
    victim, attacker, client = stage.victim, stage.attacker, stage.client
    for name in (
        "getOrganizationAuditLogs",
        "listOrganizationMembers",
        "listOrganizationRoles",
        "listApiKeys",
    ):
        operation = OPERATIONS[name]
        paged = {"X-Page-Size": "1", "X-Daytona-Organization-ID": victim.organization}
        bearer = {"Authorization": f"Bearer {victim.owner.token}"}
        theirs = _path(operation, _own(victim, operation))
        first = client.get(theirs, headers={**bearer, **paged}, params={"limit": 1})
        token = first.headers.get("x-next-page-token") or str(_next(first))
        mine = {
            "Authorization": f"Bearer {attacker.owner.token}",
            "X-Daytona-Organization-ID": attacker.organization,
            "X-Page-Size": "1",
            "X-Page-Token": token,
        }
        answer = client.get(
            _path(operation, _own(attacker, operation)), headers=mine, params={"nextToken": token}
        )
        assert answer.status_code in (200, 400)
        assert not _shows_untold(stage, answer.text)


def _next(answer: httpx.Response) -> str:
    said = answer.json()
    return str(said.get("nextToken") or "") if isinstance(said, dict) else ""


def test_what_is_listed_is_ones_own(stage: Stage) -> None:
    """The same for the victim, so that there is something which could have been shown."""
    own = {}
    for who, credential in ((stage.attacker, stage.attacker.key), (stage.victim, stage.victim.key)):
        listed = {}
        for operation in OPERATIONS.values():
            if operation.method == "GET" and operation.rule.organization_role:
                attack = Attack(operation, credential, _own(who, operation), who.organization)
                listed[operation.name] = json.dumps(attack.send(stage.client, ""))
        own[who.word] = listed
    for name, said in own["attacker"].items():
        leaks = _shows_untold if _is_log(OPERATIONS[name]) else _leaks
        assert not leaks(stage, said), name
    assert sum("victim" in said for said in own["victim"].values()) >= 4
