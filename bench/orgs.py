"""CPU of whole requests about organizations: gateway, services and PostgreSQL together, 16 connections."""

import json
from typing import Any

from bench.load import Load
from bench.meter import Meter
from bench.system import System, running
from bench.table import Figure

# What the published implementation needs for the same, CPU ms per request, where it is known.
REFERENCE = {"create role": 3.4}
TARGETS = {"create role": 1.7, "list 100 members": 2.5, "accept invitation": 3.0}
_DEVELOPER = "00000000-0000-0000-0000-000000000001"
_GUEST = "guest@bench.example"
# As many roles as an organization is likely to have, however many requests there are.
_ROLES_EACH = 50
# Made by nobody: what one person may make is counted.
_COPY = """
INSERT INTO organizations
SELECT (jsonb_populate_record(o, jsonb_build_object('id', gen_random_uuid(), 'created_by', 'bench'))).*
FROM organizations o, generate_series(1, $2::int) WHERE o.id = $1 RETURNING id::text
"""
_OWN = """
INSERT INTO members (organization_id, user_id, role) SELECT o, m.user_id, 'owner'
FROM members m, unnest($2::uuid[]) AS o WHERE m.organization_id = $1
"""
_INVITE = """
INSERT INTO invitations (id, organization_id, email, invited_by, role, expires_at, status)
SELECT gen_random_uuid(), o, $2, 'bench', 'member', now() + interval '7 days', 'pending'
FROM unnest($1::uuid[]) AS o RETURNING id::text
"""
_OFFER = "INSERT INTO invitation_roles (invitation_id, role_id) SELECT i, $2 FROM unnest($1::uuid[]) AS i"
_PEOPLE = """
INSERT INTO people (user_id, name, email, email_verified)
SELECT 'bench' || n, 'Person ' || n, 'person' || n || '@bench.example', true FROM generate_series(1, 99) AS n
"""
_MEMBERS = """
INSERT INTO members (organization_id, user_id, role)
SELECT $1, 'bench' || n, 'member' FROM generate_series(1, 99) AS n
"""
_ASSIGN = """
INSERT INTO member_roles (organization_id, user_id, role_id)
SELECT $1, 'bench' || n, $2 FROM generate_series(1, 99) AS n
"""


def measure(runs: int = 3, requests: int = 3000) -> list[Figure]:
    with running() as system:
        meter, writes = Meter(system), max(requests // 2, 100)
        return [
            _figure(meter, "list 100 members", _members(system, requests), runs),
            _figure(meter, "create role", _roles(system, writes, runs), runs),
            _figure(meter, "accept invitation", _invitations(system, writes, runs), runs),
        ]


def _figure(meter: Meter, name: str, load: Load, runs: int) -> Figure:
    cost = meter.cost(load, runs)
    reference = f"; reference {REFERENCE[name]:g}" if name in REFERENCE else ""
    return cost.figure(name, TARGETS[name], cost.parts + reference)


def _members(system: System, requests: int) -> Load:
    """One organization of a hundred, each but the owner with a role."""
    organization = system.organization("a hundred")
    system.sql("orgs", _PEOPLE)
    system.sql("orgs", _MEMBERS, organization)
    system.sql("orgs", _ASSIGN, organization, _DEVELOPER)
    return Load(path=f"/organizations/{organization}/users", **_asked(system, system.key, requests))


def _roles(system: System, requests: int, runs: int) -> Load:
    organizations = _organizations(system, "roles", _enough(requests, runs) // _ROLES_EACH + 1)
    body = {
        "name": "role {n}",
        "description": "made by a benchmark",
        "permissions": ["write:sandboxes"],
    }
    return Load(
        method="POST",
        path="/organizations/{i}/roles",
        spread=tuple(organizations),
        body=json.dumps(body),
        expect=201,
        **_asked(system, system.key, requests),
    )


def _invitations(system: System, requests: int, runs: int) -> Load:
    """As many organizations as there are requests: each invites the guest once."""
    key = system.ratoon("user", "add", _GUEST).split()[-1]
    organizations = _organizations(system, "invitations", _enough(requests, runs))
    invitations = [row[0] for row in system.sql("orgs", _INVITE, organizations, _GUEST)]
    system.sql("orgs", _OFFER, invitations, _DEVELOPER)
    return Load(
        method="POST",
        path="/organizations/invitations/{i}/accept",
        spread=tuple(invitations),
        **_asked(system, key, requests),
    )


def _organizations(system: System, name: str, many: int) -> list[str]:
    """Return so many organizations whose owner is the administrator."""
    model = system.organization(name)
    made = [str(row[0]) for row in system.sql("orgs", _COPY, model, many)]
    system.sql("orgs", _OWN, model, made)
    return made


def _enough(requests: int, runs: int) -> int:
    """Return how many requests a load is, with those to warm up."""
    return requests * runs + max(requests // 4, 50)


def _asked(system: System, key: str, requests: int) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    return {"url": system.url, "headers": headers, "requests": requests}
