"""A share: never more than what was lent, nothing lost, nothing served under a limit that holds no longer."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from chassis.grpc.caller import Caller
from gateway.limits.bounds import AUTHENTICATED, Bound, Own, subject_of
from gateway.limits.share import Share

NOW = 1_000.0
STEPS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(["take", "ask", "back"])), max_size=80
)


@dataclass
class Lender:
    """One window, as auth keeps it."""

    limit: int
    lent: int = 0

    def ask(self, share: Share, waiting: int) -> None:
        share.waiting = waiting
        needed, wanted, returned, owed = share.wish(NOW)
        share.waiting = 0
        self.lent += owed - returned
        free = max(0, self.limit - self.lent)
        granted = min(free, needed + min(wanted, self.limit // 20, free // 8))
        self.lent += granted
        share.lent(granted, needed, free - granted, 7, NOW + 60)


def a_share(limit: int) -> Share:
    return Share(AUTHENTICATED, "o:1", Bound(limit, 60))


@given(limit=st.integers(0, 300), steps=STEPS)
def test_two_shares_serve_no_more_than_the_limit_and_in_the_end_all_of_it(
    limit: int, steps: list[tuple[int, str]]
) -> None:
    lender, shares, served = Lender(limit), (a_share(limit), a_share(limit)), 0
    for number, step in steps:
        share = shares[number]
        if step == "take":
            served += share.take(NOW)
        elif step == "ask":
            lender.ask(share, 0 if share.left else 1)
        else:
            share.give_back()
        assert served + sum(s.left for s in shares) <= lender.lent <= limit
    for share in shares:
        lender.ask(share, 0)
        while share.left:
            share.give_back()
            lender.ask(share, 0)
    assert lender.lent == served
    lender.ask(shares[0], limit)
    while shares[0].take(NOW):
        served += 1
    assert served == limit


def test_little_is_held_in_advance() -> None:
    for limit in range(1, 2_000):
        lender, share, most = Lender(limit), a_share(limit), 0
        lender.ask(share, 1)
        while share.take(NOW):
            if share.left <= share.low:
                lender.ask(share, 0)
            most = max(most, share.left)
            if not share.left:
                lender.ask(share, 1)
        assert most <= limit * 0.075 + 1
        assert limit >= 20 or most <= 1


def test_another_bound_gives_back_what_was_lent_and_what_is_under_way() -> None:
    lender, share = Lender(1_000), a_share(1_000)
    lender.ask(share, 1)
    assert share.left > 1
    share.rebind(Bound(2, 60))
    assert not share.take(NOW)
    lender.limit = 2
    lender.ask(share, 1)
    assert (share.left, lender.lent) == (1, 1)
    # Asked under one bound, answered under the next.
    share.wish(NOW)
    share.rebind(Bound(3, 60))
    share.lent(5, 0, 5, 7, NOW + 60)
    assert share.left == 0
    _, wanted, returned, _ = share.wish(NOW)
    assert (wanted, returned) == (0, 6)


def test_alone_the_whole_limit_is_counted_and_owned_up_to() -> None:
    lender, share = Lender(5), a_share(5)
    lender.ask(share, 2)
    assert [share.take(NOW) for _ in range(3)] == [True, True, False]
    assert [share.take_alone(NOW) for _ in range(4)] == [True, True, True, False]
    assert share.allowed(alone=True) == 0
    lender.ask(share, 0)
    assert (lender.lent, share.owed) == (5, 0)
    assert share.used_up(NOW)


def test_another_window_takes_what_was_left_along() -> None:
    share = a_share(100)
    share.lent(6, 1, 94, 1, NOW + 60)
    share.lent(1, 1, 99, 2, NOW + 120)
    assert (share.left, share.remaining, share.window) == (1, 99, 2)


def test_what_an_organization_has_stands_in_for_the_installation_s() -> None:
    usual = {AUTHENTICATED: Bound(10, 30)}

    def bound(limit: int | None, seconds: int | None, base: dict[str, Bound]) -> Bound | None:
        return Own({AUTHENTICATED: (limit, seconds)}).bound(AUTHENTICATED, base)

    assert bound(None, None, usual) == Bound(10, 30)
    assert bound(3, None, usual) == Bound(3, 30)
    assert bound(None, 5, usual) == Bound(10, 5)
    assert bound(3, 5, {}) == Bound(3, 5)
    assert bound(3, None, {}) == Bound(3, 60)
    assert bound(None, 5, {}) is None
    assert bound(-7, 0, usual) == Bound(0, 30)
    assert bound(2**40, 2**40, usual) == Bound(2**31 - 1, 366 * 24 * 3600)


def test_subjects_are_told_apart() -> None:
    assert subject_of(Caller(credential="oidc", user_id="a", organization_id="b")) == "o:b"
    assert subject_of(Caller(credential="oidc", user_id="b")) == "u:b"
    assert subject_of(Caller(credential="service", service="health-check")) == ""
    assert len(subject_of(Caller(credential="oidc", user_id="x" * 10_000))) < 100
