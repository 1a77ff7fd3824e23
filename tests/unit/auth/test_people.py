"""People as claims tell of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from services.auth.domain.access import CredentialInvalid
from services.auth.domain.people import Claims, Person, claims_of, fit_email, synced

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PERSON = Person(
    id="s",
    name="Ada",
    email="ada@example.org",
    email_verified=True,
    created_at=NOW,
    updated_at=NOW,
    settled=True,
    claims_at=NOW,
)


def _said(**changes: Any) -> Claims:
    fields = {"subject": "s", "name": "Ada", "email": "ada@example.org", "email_verified": True}
    return Claims(**{**fields, "issued_at": NOW, "expires_at": 0.0, **changes})


def test_the_same_claims_change_nothing() -> None:
    assert synced(PERSON, _said()) is PERSON


def test_a_token_without_an_address_changes_nothing() -> None:
    silent = _said(name="Other", email=None, email_verified=False)
    assert synced(replace(PERSON, name="Unknown"), silent).name == "Unknown"
    assert synced(PERSON, silent) is PERSON


def test_a_name_is_taken_over_while_it_is_unknown() -> None:
    assert synced(PERSON, _said(name="Grace")) is PERSON
    assert synced(replace(PERSON, name="Unknown"), _said(name="Grace")).name == "Grace"


@pytest.mark.parametrize(("claim", "verified"), [(True, True), (False, False), (None, False)])
def test_a_new_address_is_as_verified_as_its_claim(claim: bool | None, verified: bool) -> None:
    now = synced(PERSON, _said(email="new@example.org", email_verified=claim))
    assert (now.email, now.email_verified) == ("new@example.org", verified)


@pytest.mark.parametrize(("claim", "verified"), [(True, True), (False, False), (None, True)])
def test_the_same_address_keeps_its_word_while_the_claim_is_silent(
    claim: bool | None, verified: bool
) -> None:
    assert synced(PERSON, _said(email_verified=claim)).email_verified is verified


def test_orgs_is_told_when_an_address_became_verified() -> None:
    unverified = replace(PERSON, email_verified=False)
    assert not synced(unverified, _said()).settled
    assert synced(PERSON, _said(email_verified=False)).settled
    assert synced(PERSON, _said(email="new@example.org")).settled


def test_an_older_token_never_undoes_a_newer_one() -> None:
    older = _said(email="old@example.org", issued_at=NOW - timedelta(seconds=1))
    assert synced(PERSON, older) is PERSON
    newer = _said(email="new@example.org", issued_at=NOW + timedelta(seconds=1))
    assert synced(synced(PERSON, newer), older).email == "new@example.org"


@pytest.mark.parametrize(
    ("verified", "name", "email"),
    [
        ({"sub": "s", "name": "N", "username": "U", "email": "e@x"}, "N", "e@x"),
        ({"sub": "s", "username": "U"}, "U", None),
        ({"sub": "s"}, "Unknown", None),
        ({"sub": "s", "name": "", "email": ""}, "Unknown", None),
        ({"sub": "s", "name": 5, "email": ["e@x"]}, "Unknown", None),
        ({"sub": "s", "name": "a\0b\n", "email": "e\0@x"}, "ab", "e@x"),
        ({"sub": "mail@x", "cid": "c", "uid": "s"}, "Unknown", "mail@x"),
    ],
)
def test_claims_are_read(verified: dict[str, Any], name: str, email: str | None) -> None:
    claims = claims_of({**verified, "exp": 5})
    assert (claims.subject, claims.name, claims.email) == ("s", name, email)
    assert claims.expires_at == 5.0


@pytest.mark.parametrize(
    ("claim", "flag"),
    [
        (True, True),
        ("true", True),
        (False, False),
        ("false", False),
        (None, None),
        ("yes", None),
        (1, None),
        (0.0, None),
    ],
)
def test_a_flag_may_be_spelt_as_text(claim: object, flag: bool | None) -> None:
    assert claims_of({"sub": "s", "exp": 1, "email_verified": claim}).email_verified is flag


@pytest.mark.parametrize("subject", [None, "", 5, ["s"], "a\0b", "a\nb", "x" * 256])
def test_a_subject_that_cannot_be_kept_is_refused(subject: object) -> None:
    with pytest.raises(Refusal) as refused:
        claims_of({"sub": subject, "exp": 1})
    assert refused.value.reason == "CREDENTIAL_INVALID"


@given(
    st.dictionaries(
        st.sampled_from(
            ["sub", "name", "email", "email_verified", "iat", "cid", "uid", "username"]
        ),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_any_claims_are_read_or_refused(verified: dict[str, Any]) -> None:
    try:
        claims = claims_of({**verified, "exp": 1})
    except CredentialInvalid:
        return
    assert "\0" not in claims.subject + claims.name + (claims.email or "")


@pytest.mark.parametrize(
    "email", ["a@b", "Mail+tag@Example.COM", "ü@exämple.org", "admin@localhost"]
)
def test_an_address_is_kept_as_it_is(email: str) -> None:
    assert fit_email(email) == email


@pytest.mark.parametrize(
    "email",
    [
        "",
        "a",
        "@",
        "a@",
        "@b",
        "a@b@c",
        "a b@c",
        "a@b ",
        "a@b\n",
        "a\0@b",
        "<a@b>",
        "x@" + "y" * 254,
    ],
)
def test_what_is_no_address_is_refused(email: str) -> None:
    with pytest.raises(Refusal) as refused:
        fit_email(email)
    assert refused.value.reason == "EMAIL_INVALID"
