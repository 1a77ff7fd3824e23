"""Where a credential acts, what it may do there, and how a machine is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from chassis.permissions import ALL, READ_SCOPES
from services.auth.domain.access import (
    Hints,
    Membership,
    is_uuid,
    looks_like_jwt,
    permitted_to_key,
)
from services.auth.domain.machines import ServiceCredentials, guessable

ONE, OTHER = "11111111-1111-4111-8111-11111111111a", "22222222-2222-4222-8222-222222222222"
GOOD = "Zq3vT8wLx1Rk9mBn5cYd7hGf2jUp4sAe"


def _refused(hints: Hints, key_of: str = "") -> bool:
    try:
        hints.for_key_of(key_of) if key_of else hints.chosen()
    except Refusal as refusal:
        return refusal.reason == "ORGANIZATION_FORBIDDEN"
    return False


def test_the_path_goes_before_the_header() -> None:
    assert Hints(ONE, OTHER).chosen() == ONE
    assert Hints("", OTHER).chosen() == OTHER
    assert Hints().chosen() == ""
    assert Hints(ONE.upper()).chosen() == ONE


def test_a_key_acts_in_its_own_organization() -> None:
    assert Hints(ONE, OTHER).for_key_of(ONE) == ONE
    assert Hints(ONE.upper()).for_key_of(ONE) == ONE
    assert Hints("", "not even an id").for_key_of(ONE) == ONE
    assert _refused(Hints(OTHER), ONE)
    assert _refused(Hints("x"), ONE)


@pytest.mark.parametrize(
    "hint", ["x", "\0", ONE + "\n", f"{{{ONE}}}", ONE.replace("-", ""), "../" + ONE]
)
def test_what_is_no_id_is_forbidden(hint: str) -> None:
    assert not is_uuid(hint)
    assert _refused(Hints(hint))
    assert _refused(Hints("", hint))


def test_a_key_may_do_what_it_lists_and_its_holder_holds() -> None:
    listed = ("write:snapshots", "read:limits")
    assert permitted_to_key(listed, Membership(ONE, True, frozenset())) == frozenset(listed)
    member = Membership(ONE, False, frozenset({"read:limits", "manage:roles"}))
    assert permitted_to_key(listed, member) == {"read:limits"}
    assert permitted_to_key((), member) == frozenset()
    assert permitted_to_key(listed, None) == frozenset()
    assert Membership(ONE, True, frozenset()).held == ALL


def test_every_member_reads_and_no_key_loses_the_scopes_that_hold_it() -> None:
    for member in (Membership(ONE, False, frozenset()), Membership(ONE, True, frozenset())):
        assert member.held >= READ_SCOPES
        assert permitted_to_key(("read:snapshots",), member) == {"read:snapshots"}


def test_a_jwt_is_known_by_its_shape() -> None:
    assert looks_like_jwt("eyJhbGciOiJ9.eyJzdWIiOiIx.c2ln-_")
    assert looks_like_jwt("eyJ.eyJ.")
    for other in ("dtn_" + "0" * 64, "eyJ.x.y", "x.eyJ.y", "eyJ.eyJ", "eyJ.eyJ.a.b", "eyJ.eyJ.é"):
        assert not looks_like_jwt(other)


def test_a_machine_is_known_by_its_secret_alone() -> None:
    machines = ServiceCredentials({"health-check": GOOD, "proxy": GOOD[::-1]})
    assert machines.machine(GOOD) == "health-check"
    assert machines.machine(GOOD[::-1]) == "proxy"
    assert ServiceCredentials({}).machine(GOOD) is None


@given(st.text())
def test_no_other_text_is_a_machine(text: str) -> None:
    assert text == GOOD or ServiceCredentials({"health-check": GOOD}).machine(text) is None


@pytest.mark.parametrize("name", ["gateway", "auth", "orgs", "operator", "", "health_check"])
def test_nobody_gets_the_name_of_a_machine_of_the_inside(name: str) -> None:
    with pytest.raises(ValueError, match="no machine named"):
        ServiceCredentials({name: GOOD})


@pytest.mark.parametrize(
    "secret",
    [
        *(
            "",
            "hunter2",
            GOOD[:31],
            "a" * 64,
            "abab" * 16,
            "changeme" + GOOD,
            "super-Secret-" + GOOD,
        ),
        *("health_check_api_key" + GOOD, "your-token-here" + GOOD),
    ],
)
def test_a_secret_that_anybody_could_guess_is_refused_without_being_shown(secret: str) -> None:
    assert guessable(secret)
    with pytest.raises(ValueError) as refused:
        ServiceCredentials({"proxy": secret})
    assert not secret or secret not in str(refused.value)


@given(st.binary(min_size=32, max_size=32))
def test_a_random_secret_is_good(random: bytes) -> None:
    assert not guessable(random.hex()) or len(set(random.hex())) < 10
