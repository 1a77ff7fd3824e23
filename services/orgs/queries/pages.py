"""Lists that a member reads page by page, in one statement with the look whether the reader still is a member."""

from datetime import UTC, datetime, timedelta
from typing import Any

from chassis.pages import PageTokenInvalid
from services.orgs.domain import OrganizationForbidden

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What is listed is joined to this: no row at all means that the reader is no member, a row of NULLs an empty page.
READER = "(SELECT FROM members WHERE organization_id = $1 AND user_id = $2) AS reader"


def seen(rows: list[Any]) -> list[Any]:
    """Return the rows; refuse a reader who is not (or no longer) in the organization."""
    if not rows:
        raise OrganizationForbidden
    return [] if rows[0][0] is None else rows


def limit(size: int) -> int | None:
    """Return how many to read for a page: one more than it has, to know whether another follows."""
    return size + 1 if size > 0 else None


def moment(micros: int) -> datetime:
    """Return the time in a page's token."""
    try:
        return _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        raise PageTokenInvalid from None
