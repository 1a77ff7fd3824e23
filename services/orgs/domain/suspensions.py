"""What a suspension must be."""

from datetime import datetime

from chassis.errors import Kind, Refusal


class SuspensionInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SUSPENSION_INVALID"


def check_suspension(now: datetime, until: datetime | None, grace_hours: int | None) -> None:
    if until is not None and until <= now:
        raise SuspensionInvalid("the end of a suspension lies in the future")
    if grace_hours is not None and grace_hours < 0:
        raise SuspensionInvalid("a grace period is not negative")
