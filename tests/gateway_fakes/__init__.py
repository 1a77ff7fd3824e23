"""The services behind the gateway, made up, in process."""

from tests.gateway_fakes.auth import FakeAuth, Known
from tests.gateway_fakes.calls import (
    ACCOUNT,
    ADMIN,
    ADMIN_PROBE,
    ALL,
    COLLECTOR,
    KEY,
    ORG,
    OTHER,
    OWNER,
    READER,
    SHOWN_STAMP,
    STAMP,
    USER,
    VIEWER,
    Calls,
)
from tests.gateway_fakes.keys import FakeApiKeys, FakeUsers
from tests.gateway_fakes.orgs import FakeOrganizations, an_organization
from tests.gateway_fakes.people import FakePeople, a_member, a_role, an_invitation
from tests.gateway_fakes.snapshots import FakeSnapshots, NameTaken, QuotaExceeded, a_snapshot
from tests.gateway_fakes.system import Fakes

__all__ = [
    "ACCOUNT",
    "ADMIN",
    "ADMIN_PROBE",
    "ALL",
    "COLLECTOR",
    "KEY",
    "ORG",
    "OTHER",
    "OWNER",
    "READER",
    "SHOWN_STAMP",
    "STAMP",
    "USER",
    "VIEWER",
    "Calls",
    "FakeApiKeys",
    "FakeAuth",
    "FakeOrganizations",
    "FakePeople",
    "FakeSnapshots",
    "FakeUsers",
    "Fakes",
    "Known",
    "NameTaken",
    "QuotaExceeded",
    "a_member",
    "a_role",
    "a_snapshot",
    "an_invitation",
    "an_organization",
]
