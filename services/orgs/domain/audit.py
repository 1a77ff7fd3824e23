"""What a line of the audit log says, and which lines somebody asks for."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from chassis.errors import Kind, Refusal

LARGEST_PAGE = 200
MOST_RECORDS = 1_000
# Conditions of one kind, and values of one condition.
MOST_CONDITIONS, MOST_VALUES = 100, 200


@dataclass(frozen=True, slots=True)
class Record:
    """One line. Empty texts: nothing is known or there is none."""

    id: UUID
    created_at: datetime
    organization_id: UUID | None
    actor_id: str
    actor_email: str
    actor_api_key_prefix: str
    actor_api_key_suffix: str
    action: str
    target_type: str
    target_id: str
    status_code: int
    error_message: str
    ip_address: str
    user_agent: str
    source: str
    # JSON text of an object; None: no particulars.
    metadata: str | None


class Comparison(StrEnum):
    IN = "= ANY"
    NOT_IN = "<> ALL"
    AT_LEAST = ">="
    AT_MOST = "<="
    MORE = ">"
    LESS = "<"


@dataclass(frozen=True, slots=True)
class TextCondition:
    """One of the values must be there, or, negated, none."""

    field: str
    values: tuple[str, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class NumberCondition:
    """The status compared with the values; with one value where the comparison takes one."""

    comparison: Comparison
    values: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """A bound of time, itself included or not."""

    comparison: Comparison
    at: datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """All that is given must hold."""

    moments: tuple[Moment, ...] = ()
    texts: tuple[TextCondition, ...] = ()
    status_codes: tuple[NumberCondition, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.moments or self.texts or self.status_codes)


class FilterInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "FILTER_INVALID"


class TooManyRecords(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "TOO_MANY_RECORDS"


class RecordInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "RECORD_INVALID"


# What the public API declares to answer to a change, where it is not as its name says.
_STATUS = {
    ("create", "snapshot"): 200,
    ("delete", "snapshot"): 200,
    ("deactivate", "snapshot"): 204,
    ("suspend", "organization"): 204,
    ("unsuspend", "organization"): 204,
    ("update_quota", "organization"): 204,
    ("update_region_quota", "organization"): 204,
    ("update_sandbox_default_limited_network_egress", "organization"): 204,
    ("update_preview_warning", "organization"): 204,
    ("update_otel_config", "organization"): 204,
    ("decline", "organization_invitation"): 204,
    ("regenerate_key_pair", "user"): 201,
    ("initialize_webhooks", "organization"): 201,
    ("leave_organization", ""): 204,
    ("link_account", ""): 204,
    ("unlink_account", ""): 204,
    ("enable", "user"): 204,
    ("disable", "user"): 204,
}
_STATUS_OF_VERB = {"create": 201, "delete": 204, "cancel": 204}


def status_of(action: str, target_type: str) -> int:
    """Return the status that the change was answered with."""
    by_verb = _STATUS_OF_VERB.get(action.partition("_")[0], 200)
    return _STATUS.get((action, target_type), by_verb)
