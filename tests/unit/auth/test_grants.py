"""Nobody gives what is not held, and no key reads or does more than the key that made it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from chassis.permissions import ALL, READ_SCOPES
from services.auth.domain.grants import Giver, check_rotation, fit_permissions, reads

OWNER = Giver(ALL)
NARROW = Giver(frozenset({"manage:api_keys", "write:snapshots", "read:snapshots"}), "narrow")
BARE = Giver(frozenset({"manage:api_keys", "write:snapshots"}), "bare")
Permissions = st.sets(st.sampled_from(sorted(ALL)), max_size=8)


def _missing(
    asked: list[str] | frozenset[str], giver: Giver, had: frozenset[str] | None = None
) -> str:
    with pytest.raises(Refusal) as refused:
        fit_permissions(asked, giver, had)
    assert refused.value.reason == "PERMISSIONS_NOT_HELD"
    return refused.value.metadata["permissions"]


def test_permissions_take_todays_names_each_once_in_order() -> None:
    asked = ["write:images", "delete:snapshots", "write:snapshots", "delete:images"]
    assert fit_permissions(asked, OWNER) == ("write:snapshots", "delete:snapshots")
    assert fit_permissions([], Giver(frozenset())) == ()


def test_what_is_not_held_is_named() -> None:
    giver = Giver(frozenset({"read:limits"}))
    asked = ["write:snapshots", "read:limits", "manage:roles"]
    assert _missing(asked, giver) == "write:snapshots, manage:roles"


@pytest.mark.parametrize(
    "unknown", ["", "x", "write:everything", "WRITE:SNAPSHOTS", "\0", "é" * 999]
)
def test_an_unknown_permission_is_refused_in_words_that_travel(unknown: str) -> None:
    with pytest.raises(Refusal) as refused:
        fit_permissions(["read:limits", unknown], OWNER)
    assert refused.value.reason == "API_KEY_PERMISSION_UNKNOWN"
    assert refused.value.message.isascii()
    assert len(refused.value.message) < 1000


def test_everybody_reads_and_may_let_keys_read() -> None:
    for giver in (Giver(frozenset()), BARE, OWNER, Giver(ALL, "account")):
        assert fit_permissions(["read:snapshots"], giver) == ("read:snapshots",)
        assert fit_permissions([], giver) == ()


def test_a_key_with_reads_makes_keys_with_reads_of_its_own_only() -> None:
    assert fit_permissions(["read:snapshots"], NARROW) == ("read:snapshots",)
    assert "read:roles" in _missing([], NARROW)
    assert "read:snapshots" not in _missing(["write:snapshots"], NARROW)
    assert _missing(["read:snapshots", "read:roles"], NARROW) == "read:roles"


def test_what_a_key_has_may_stay() -> None:
    had = frozenset({"manage:roles", "write:snapshots"})
    for giver in (Giver(frozenset()), BARE, NARROW):
        assert set(fit_permissions(sorted(had), giver, had)) == had
        assert fit_permissions(["manage:roles"], giver, had) == ("manage:roles",)
    assert _missing(["manage:roles", "manage:members"], BARE, had) == "manage:members"


def test_a_key_with_reads_adds_nothing_to_one_that_reads_more() -> None:
    assert "read:roles" in _missing(["write:snapshots"], NARROW, frozenset())
    wide = frozenset({"read:roles", "read:snapshots"})
    assert _missing(wide | {"write:snapshots"}, NARROW, wide) == "read:roles"
    assert set(fit_permissions(wide, NARROW, wide)) == wide
    own = frozenset({"read:snapshots"})
    assert fit_permissions(["read:snapshots", "write:snapshots"], NARROW, own)


def test_to_take_the_last_read_scope_is_to_let_read_everything() -> None:
    had = frozenset({"read:snapshots", "write:snapshots"})
    assert "read:organization" in _missing(["write:snapshots"], NARROW, had)
    assert fit_permissions(["write:snapshots"], OWNER, had) == ("write:snapshots",)


def test_a_key_rotates_itself_and_what_is_no_stronger() -> None:
    check_rotation(["manage:roles"], "other", Giver(frozenset()))
    check_rotation(NARROW.permissions, "narrow", NARROW)
    check_rotation(["read:snapshots"], "other", NARROW)
    for strong in (["read:snapshots", "manage:roles"], ["write:snapshots"], []):
        with pytest.raises(Refusal) as refused:
            check_rotation(strong, "other", NARROW)
        assert refused.value.reason == "PERMISSIONS_NOT_HELD"


@given(held=Permissions, had=st.none() | Permissions, asked=Permissions)
def test_no_key_gets_beyond_the_key_that_gave(
    held: set[str], had: set[str] | None, asked: set[str]
) -> None:
    giver = Giver(frozenset(held), "key")
    try:
        given_ = frozenset(fit_permissions(sorted(asked), giver, had))
    except Refusal:
        return
    assert given_ == asked
    assert given_ <= giver.held | (had or set())
    if had is None or given_ - had:
        assert reads(given_) <= reads(held)
    else:
        assert reads(given_) <= reads(held) | reads(had)
    assert reads(given_) <= READ_SCOPES
