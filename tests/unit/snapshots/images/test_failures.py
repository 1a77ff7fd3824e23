"""Which failures pass and which do not, and what `Retry-After` says."""

import asyncio
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import aiohttp
import pytest

from services.snapshots.images.answers import seconds
from services.snapshots.images.attempts import Attempts, Retries, persistent
from services.snapshots.images.failures import REMEDIES, Code, PullFailed
from services.snapshots.images.outages import failure_of

NOW = Retries(attempts=3, first_pause=0, longest_pause=1)


def test_every_code_is_its_own_word_and_has_a_remedy() -> None:
    assert set(REMEDIES) == set(Code)
    assert [code.name for code in Code] == [code.value for code in Code]


@pytest.mark.parametrize("code", Code)
def test_only_what_may_pass_is_transient(code: Code) -> None:
    may_pass = {
        Code.REGISTRY_UNREACHABLE,
        Code.REGISTRY_TIMEOUT,
        Code.REGISTRY_RATE_LIMITED,
        Code.REGISTRY_ERROR,
    }
    assert PullFailed(code, "because").transient is (code in may_pass)


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        (None, None),
        ("0", 0),
        ("30", 30),
        ("1.5", 1.5),
        ("-5", 0),
        ("99999999", 86_400),
        ("soon", None),
        ("nan", None),
        ("", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
    ],
)
def test_retry_after(said: str | None, wait: float | None) -> None:
    assert seconds(said) == wait


def test_retry_after_as_a_date() -> None:
    when = datetime.now(UTC) + timedelta(seconds=50)
    for usegmt in (True, False):
        wait = seconds(format_datetime(when, usegmt=usegmt))
        assert wait is not None
        assert 45 < wait <= 50


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), Code.REGISTRY_TIMEOUT),
        (aiohttp.ServerTimeoutError(), Code.REGISTRY_TIMEOUT),
        (aiohttp.ClientPayloadError(), Code.REGISTRY_UNREACHABLE),
        (aiohttp.ServerDisconnectedError(), Code.REGISTRY_UNREACHABLE),
        (ConnectionResetError(), Code.REGISTRY_UNREACHABLE),
        (aiohttp.InvalidURL("https://x/?signature=abc"), Code.REGISTRY_HOST_UNKNOWN),
    ],
)
def test_exceptions_are_named_without_their_urls(error: Exception, code: Code) -> None:
    failure = failure_of(error, "r.test")
    assert failure.code is code
    assert "r.test" in failure.reason
    assert "signature" not in str(failure)


class Failing:
    """Fails with each of these in turn, then succeeds."""

    def __init__(self, *failures: PullFailed) -> None:
        self.failures = list(failures)
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.calls


def broken(retry_after: float | None = None) -> PullFailed:
    return PullFailed(Code.REGISTRY_ERROR, "broken", retry_after=retry_after)


async def test_a_few_failures_are_forgiven() -> None:
    assert await persistent(NOW, Failing(broken(), broken())) == 3


async def test_a_mismatch_is_forgiven_once() -> None:
    wrong = PullFailed(Code.DIGEST_MISMATCH, "wrong")
    assert await persistent(NOW, Failing(wrong)) == 2
    twice = Failing(wrong, wrong)
    with pytest.raises(PullFailed):
        await persistent(NOW, twice)
    assert twice.calls == 2


@pytest.mark.parametrize(
    ("failures", "calls"),
    [
        ([broken()] * 5, 3),
        ([PullFailed(Code.IMAGE_NOT_FOUND, "gone")], 1),
        ([broken(retry_after=1.5)], 1),
    ],
    ids=["many", "final", "long wait"],
)
async def test_others_are_not(failures: list[PullFailed], calls: int) -> None:
    request = Failing(*failures)
    with pytest.raises(PullFailed):
        await persistent(NOW, request)
    assert request.calls == calls


async def test_it_waits_as_long_as_it_is_asked() -> None:
    clock = asyncio.get_running_loop().time
    start = clock()
    await Attempts(NOW).after(broken(retry_after=0.1))
    assert clock() - start >= 0.09
