"""What a registry's refusing answer means."""

import json
import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Answer

_LARGEST_ERROR = 64 << 10
_LONGEST_WAIT = 86_400.0


async def refusal(answer: Answer, wanted: str) -> PullFailed:
    """The failure an answer other than success stands for."""
    said = await _said(answer)
    reason = f"{answer.host} answers {answer.status} for {wanted}{said}"
    retry_after = seconds(answer.headers.get("Retry-After"))
    return PullFailed(_code(answer), reason, retry_after=retry_after)


def seconds(retry_after: str | None) -> float | None:
    """How long `Retry-After` asks to wait: it holds seconds or a date."""
    if retry_after is None:
        return None
    try:
        wait = float(retry_after)
    except ValueError:
        wait = _until(retry_after)
    return None if math.isnan(wait) else min(max(wait, 0.0), _LONGEST_WAIT)


def _until(date: str) -> float:
    try:
        when = parsedate_to_datetime(date)
    except ValueError:
        return math.nan
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return (when - datetime.now(UTC)).total_seconds()


def _code(answer: Answer) -> Code:
    status = answer.status
    if status == 429:
        return Code.REGISTRY_RATE_LIMITED
    if status in (408, 504):
        return Code.REGISTRY_TIMEOUT
    # The host a blob was redirected to knows no users: it refuses links that are too old.
    if status >= 500 or (status in (401, 403) and not answer.from_origin):
        return Code.REGISTRY_ERROR
    if status in (401, 403):
        return Code.REGISTRY_UNAUTHORIZED
    return Code.IMAGE_NOT_FOUND if status == 404 else Code.REGISTRY_PROTOCOL


async def _said(answer: Answer) -> str:
    """The registry's own words, when it uses the registry error format; cleaned and cut."""
    try:
        document: Any = json.loads(await answer.read(_LARGEST_ERROR) or b"")
        error = document["errors"][0]
        words = f"{error['code']}: {error.get('message', '')}"
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError, PullFailed):
        return ""
    clean = "".join(sign if sign.isprintable() else " " for sign in words)
    return f" ({clean.strip()[:200]})"
