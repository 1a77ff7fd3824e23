"""What keys may be called, carry and outlive."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from chassis.secrets import fresh
from services.auth.domain.api_keys import (
    digest,
    fit_expiry,
    fit_name,
    fit_overlap,
    fit_unused_days,
    prefix_of,
    suffix_of,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "name",
    ["ci", "Ünternehmen & Söhne", "a < b", "1 <3 you", "日本語", "x" * 255, "Current", "a/b", "😀"],
)
def test_a_good_name_is_kept_as_it_is(name: str) -> None:
    assert fit_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "\t", "x" * 256, "a\0b", "a\nb", "a\tb", "\x7f", "\x85"),
        *("<b>", "x</x", "<Script src=y>", "current", ".", ".."),
        *("see http://x", "HTTPS://X", "ftp://x", "sftp://x", "ssh://x", "ws://x", "wss://x"),
        *("file://x", "ldaps://x", "javascript:x", "data:x", "mailto:x", "tel:1", "WWW.x"),
    ],
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        fit_name(name)
    assert refused.value.reason == "API_KEY_NAME_INVALID"


@given(st.text(max_size=300))
def test_a_name_that_fits_can_be_stored_and_shown(name: str) -> None:
    try:
        fit_name(name)
    except Refusal:
        return
    assert 1 <= len(name) <= 255
    assert "\0" not in name
    assert name.encode().decode() == name


def test_an_expiry_lies_ahead() -> None:
    later = NOW + timedelta(microseconds=1)
    assert fit_expiry(later, NOW) is later
    assert fit_expiry(None, NOW) is None
    for past in (NOW, NOW - timedelta(days=1)):
        with pytest.raises(Refusal) as refused:
            fit_expiry(past, NOW)
        assert refused.value.reason == "API_KEY_EXPIRY_PAST"


@pytest.mark.parametrize("seconds", [0, 1, 30 * 86400])
def test_an_overlap_has_an_end(seconds: int) -> None:
    assert fit_overlap(seconds) == timedelta(seconds=seconds)


@pytest.mark.parametrize("seconds", [-1, 30 * 86400 + 1, 2**62, -(2**62)])
def test_an_overlap_that_has_none_is_refused(seconds: int) -> None:
    with pytest.raises(Refusal) as refused:
        fit_overlap(seconds)
    assert refused.value.reason == "OVERLAP_INVALID"


def test_days_without_use_are_bounded() -> None:
    assert [fit_unused_days(d) for d in (0, 36_500)] == [0, 36_500]
    for days in (-1, 36_501, 2**31 - 1):
        with pytest.raises(Refusal) as refused:
            fit_unused_days(days)
        assert refused.value.reason == "UNUSED_DAYS_INVALID"


def test_secrets_have_the_published_form_and_are_not_repeated() -> None:
    secrets = {fresh() for _ in range(100)}
    assert len(secrets) == 100
    for secret in secrets:
        assert secret.startswith("dtn_")
        assert len(bytes.fromhex(secret.removeprefix("dtn_"))) == 32
        assert (prefix_of(secret), suffix_of(secret)) == ("dtn", secret[-3:])
    assert len({digest(s) for s in secrets}) == 100
