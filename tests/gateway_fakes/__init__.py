"""The services behind the gateway, made up, in process."""

from tests.gateway_fakes.auth import FakeApiKeys, FakeAuth, FakeUsers, Known
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
from tests.gateway_fakes.orgs import FakeOrganizations, an_organization
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
    "FakeSnapshots",
    "FakeUsers",
    "Fakes",
    "Known",
    "NameTaken",
    "QuotaExceeded",
    "a_snapshot",
    "an_organization",
]
