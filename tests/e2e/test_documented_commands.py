"""The commands that the product's documents show, run by curl as they are written, with account keys."""

import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.system import System
from tests.e2e import documented as docs

DEVELOPER = "00000000-0000-0000-0000-000000000001"
INVITED = "mail@example.com"
_HOST = "https://app.daytona.io/api"
# What is answered besides the body.
_AND_SAY = " -sS -w '\\n%{http_code} %{content_type}'"
_OTHER_REGION = ('"us"', '"nowhere"')


@dataclass(frozen=True)
class Shell:
    """Somebody with an account key who types what is documented."""

    system: System
    key: str

    def __call__(self, command: str, *changed: tuple[str, str], **ids: str) -> tuple[int, Any]:
        """Run a command, ids and the host put in, and return status and body."""
        for written, meant in (
            (_HOST, self.system.url),
            ("YOUR_API_KEY", self.key),
            *((name.upper(), value) for name, value in ids.items()),
            *changed,
        ):
            assert written in command
            command = command.replace(written, meant)
        told = ["/bin/sh", "-c", command.strip() + _AND_SAY]
        done = subprocess.run(told, capture_output=True, text=True, check=True, timeout=60)
        body, _, said = done.stdout.rpartition("\n")
        status, _, content_type = said.partition(" ")
        assert not body or content_type.startswith("application/json")
        return int(status), json.loads(body) if body else None


@pytest.fixture(scope="module")
def owner(system: System) -> Shell:
    return Shell(system, system.ratoon("user", "add", "documented@example.com").split()[-1])


@pytest.fixture(scope="module")
def invited(system: System) -> Shell:
    return Shell(system, system.ratoon("user", "add", INVITED).split()[-1])


@pytest.fixture
def organization(owner: Shell) -> Iterator[str]:
    """An organization made and deleted as documented: nobody may have more than ten."""
    status, made = owner(docs.CREATE_ORGANIZATION)
    assert status == 201
    yield str(made["id"])
    assert owner(docs.DELETE_ORGANIZATION, organization_id=made["id"]) == (204, None)


def _invite(owner: Shell, organization: str) -> str:
    status, made = owner(docs.INVITE_MEMBER, organization_id=organization)
    assert status == 201, made
    assert (made["email"], made["status"], made["role"]) == (INVITED, "pending", "member")
    assert [r["id"] for r in made["assignedRoles"]] == [DEVELOPER]
    return str(made["id"])


def _join(owner: Shell, invited: Shell, organization: str) -> str:
    """Invite and accept; return the id of the new member."""
    invitation = _invite(owner, organization)
    status, accepted = invited(docs.ACCEPT_INVITATION, invitation_id=invitation)
    assert (status, accepted["status"]) == (200, "accepted")
    _, members = owner(docs.LIST_MEMBERS, organization_id=organization)
    return next(str(m["userId"]) for m in members if m["email"] == INVITED)


def test_create_list_and_get_an_organization(owner: Shell) -> None:
    status, made = owner(docs.CREATE_ORGANIZATION)
    assert (status, made["name"], made["personal"]) == (201, "My Organization", False)
    status, listed = owner(docs.LIST_ORGANIZATIONS)
    assert status == 200
    assert made["id"] in [o["id"] for o in listed]
    assert owner(docs.GET_ORGANIZATION, organization_id=made["id"]) == (200, made)
    assert owner(docs.DELETE_ORGANIZATION, organization_id=made["id"]) == (204, None)


def test_the_default_region_can_be_set_again(owner: Shell, organization: str) -> None:
    for _ in range(2):
        assert owner(docs.DEFAULT_REGION, organization_id=organization) == (204, None)
    status, refused = owner(docs.DEFAULT_REGION, _OTHER_REGION, organization_id=organization)
    assert (status, refused["code"]) == (404, "REGION_NOT_FOUND")


def test_the_last_owner_cannot_leave_but_can_delete(owner: Shell) -> None:
    _, made = owner(docs.CREATE_ORGANIZATION)
    id_ = made["id"]
    status, refused = owner(docs.LEAVE_ORGANIZATION, organization_id=id_)
    assert (status, refused["code"]) == (403, "LAST_OWNER")
    assert owner(docs.DELETE_ORGANIZATION, organization_id=id_) == (204, None)
    status, gone = owner(docs.GET_ORGANIZATION, organization_id=id_)
    assert (status, gone["code"]) == (403, "ORGANIZATION_FORBIDDEN")


def test_the_personal_organization_stays(owner: Shell) -> None:
    _, listed = owner(docs.LIST_ORGANIZATIONS)
    personal = next(o["id"] for o in listed if o["personal"])
    status, refused = owner(docs.DELETE_ORGANIZATION, organization_id=personal)
    assert (status, refused["code"]) == (403, "ORGANIZATION_PERSONAL")


def test_members_are_listed(owner: Shell, organization: str) -> None:
    status, members = owner(docs.LIST_MEMBERS, organization_id=organization)
    assert status == 200
    assert [(m["email"], m["role"]) for m in members] == [("documented@example.com", "owner")]


def test_a_role_is_made_changed_and_deleted(owner: Shell, organization: str) -> None:
    status, made = owner(docs.CREATE_ROLE, organization_id=organization)
    assert (status, made["name"], made["isGlobal"]) == (201, "Maintainer", False)
    assert made["permissions"] == ["write:sandboxes", "delete:sandboxes"]
    status, listed = owner(docs.LIST_ROLES, organization_id=organization)
    assert status == 200
    assert [r["isGlobal"] for r in listed].count(True) == 8
    assert made["id"] in [r["id"] for r in listed]
    ids = {"organization_id": organization, "role_id": made["id"]}
    status, changed = owner(docs.UPDATE_ROLE, ("Maintainer", "Keeper"), **ids)
    assert (status, changed["name"], changed["id"]) == (200, "Keeper", made["id"])
    assert owner(docs.DELETE_ROLE, **ids) == (204, None)
    status, _ = owner(docs.DELETE_ROLE, **ids)
    assert status == 404


def test_an_invitation_is_changed_and_taken_back(owner: Shell, organization: str) -> None:
    ids = {"organization_id": organization, "invitation_id": _invite(owner, organization)}
    status, pending = owner(docs.PENDING_INVITATIONS, organization_id=organization)
    assert (status, [i["id"] for i in pending]) == (200, [ids["invitation_id"]])
    later = _a_year_ahead()
    status, changed = owner(docs.UPDATE_INVITATION, ("2030-01-01T00:00:00.000Z", later), **ids)
    assert (status, changed["expiresAt"]) == (200, later)
    assert owner(docs.CANCEL_INVITATION, **ids) == (204, None)
    assert owner(docs.PENDING_INVITATIONS, organization_id=organization) == (200, [])


def test_an_invitation_is_declined(owner: Shell, invited: Shell, organization: str) -> None:
    invitation = _invite(owner, organization)
    status, mine = invited(docs.OWN_INVITATIONS)
    assert status == 200
    assert [(i["id"], i["organizationName"]) for i in mine] == [(invitation, "My Organization")]
    assert invited(docs.COUNT_INVITATIONS) == (200, 1)
    status, _ = invited(docs.DECLINE_INVITATION, invitation_id=invitation)
    assert status == 200
    assert invited(docs.COUNT_INVITATIONS) == (200, 0)
    assert owner(docs.PENDING_INVITATIONS, organization_id=organization) == (200, [])


@pytest.mark.parametrize("end", ["removed", "left"])
def test_who_accepts_is_a_member(owner: Shell, invited: Shell, organization: str, end: str) -> None:
    member = _join(owner, invited, organization)
    ids = {"organization_id": organization, "user_id": member}
    owning = ('"role": "member"', '"role": "owner"')
    for changed in (owning, (owning[0], owning[0])):
        status, access = owner(docs.UPDATE_ACCESS, changed, **ids)
        assert (status, access["userId"]) == (200, member)
        assert access["role"] in changed[1]
        assert [r["id"] for r in access["assignedRoles"]] == [DEVELOPER]
    status, seen = invited(docs.GET_ORGANIZATION, organization_id=organization)
    assert (status, seen["id"]) == (200, organization)
    leave: dict[str, Callable[[], tuple[int, Any]]] = {
        "removed": lambda: owner(docs.REMOVE_MEMBER, **ids),
        "left": lambda: invited(docs.LEAVE_ORGANIZATION, organization_id=organization),
    }
    assert leave[end]() == (204, None)
    status, refused = invited(docs.GET_ORGANIZATION, organization_id=organization)
    assert (status, refused["code"]) == (403, "ORGANIZATION_FORBIDDEN")


def test_the_overview_of_usage(owner: Shell, organization: str) -> None:
    status, told = owner(docs.USAGE, organization_id=organization)
    assert status == 200
    assert (told["currentSnapshotUsage"], told["currentVolumeUsage"]) == (0, 0)
    assert told["totalSnapshotQuota"] > 0
    assert isinstance(told["regionUsage"], list)


def test_settings(owner: Shell, organization: str) -> None:
    assert owner(docs.EGRESS, organization_id=organization) == (204, None)
    status, _ = owner(docs.EXPERIMENTAL_CONFIG, organization_id=organization)
    assert status == 200
    _, seen = owner(docs.GET_ORGANIZATION, organization_id=organization)
    assert seen["sandboxLimitedNetworkEgress"] is True
    assert seen["otelConfig"]["endpoint"] == "http://otel-collector:4317"
    assert set(seen["otelConfig"]["headers"]) == {"api-key"}
    assert "XXX" not in json.dumps(seen)


def _a_year_ahead() -> str:
    """Return a moment to come, whenever this runs."""
    ahead = datetime.now(UTC) + timedelta(days=365)
    return ahead.isoformat(timespec="milliseconds").replace("+00:00", "Z")
