"""Random lives of an organization against a small model: members, roles and invitations, at every step."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from ratoon.orgs.v1 import invitation_pb2
from tests.integration.orgs.actor import AUDITOR, ROLES, Actor, age, an_owner, somebody
from tests.integration.orgs.conftest import House, outcome
from tests.soak import rounds

PEOPLE = 4
PENDING = invitation_pb2.INVITATION_STATUS_PENDING
_T = TypeVar("_T")
_KINDS = st.sampled_from(("owner", "member"))
_PEOPLE = st.integers(0, PEOPLE - 1)
# Whether an own role is wanted besides, whether a global one.
_WANTED = st.tuples(st.booleans(), st.booleans())


@dataclass
class Offer:
    to: int
    role: str
    roles: frozenset[str]
    status: str = "pending"
    expired: bool = False

    @property
    def open(self) -> bool:
        return self.status == "pending" and not self.expired

    @property
    def over(self) -> str:
        return "INVITATION_EXPIRED" if self.expired else "INVITATION_NOT_PENDING"


async def test_a_life_of_any_kind_is_as_the_model_says(house: House) -> None:
    loop = asyncio.get_running_loop()
    # hypothesis is synchronous: it runs beside the loop and hands every step to it.
    await asyncio.to_thread(_explore, house, loop, rounds(25, 400))


def _explore(house: House, loop: asyncio.AbstractEventLoop, lives: int) -> None:
    class Life(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            founder = self.run(an_owner(house))
            others = [self.run(somebody(house)) for _ in range(PEOPLE - 1)]
            self.people = [founder, *(o.at(founder.organization_id) for o in others)]
            self.members: dict[int, tuple[str, frozenset[str]]] = {0: ("owner", frozenset())}
            self.own: list[str] = []
            self.offers: dict[str, Offer] = {}

        def run(self, step: Coroutine[Any, Any, _T]) -> _T:
            return asyncio.run_coroutine_threadsafe(step, loop).result(30)

        def owners(self) -> list[int]:
            return [p for p, (role, _) in self.members.items() if role == "owner"]

        def denied(self, who: int) -> str:
            """Return why somebody with an owner's token may not act, if so."""
            if who not in self.members:
                return "ORGANIZATION_FORBIDDEN"
            return "" if self.members[who][0] == "owner" else "OWNER_REQUIRED"

        def expect(self, call: Coroutine[Any, Any, Any], reason: str) -> bool:
            said = self.run(outcome(call))
            assert said == (reason or "ok")
            return not reason

        def wanted(self, wanted: tuple[bool, bool]) -> list[str]:
            own, global_ = wanted
            return [*(self.own[-1:] if own else []), *([AUDITOR] if global_ else [])]

        def latest(self, of: int) -> str | None:
            """Return the last invitation that somebody got."""
            found = [id_ for id_, offer in self.offers.items() if offer.to == of]
            return found[-1] if found else None

        @rule(who=_PEOPLE, to=_PEOPLE, role=_KINDS, roles=_WANTED)
        def invite(self, who: int, to: int, role: str, roles: tuple[bool, bool]) -> None:
            role_ids = self.wanted(roles)
            reason = self.denied(who)
            if not reason and to in self.members:
                reason = "ALREADY_A_MEMBER"
            if not reason and any(o.open and o.to == to for o in self.offers.values()):
                reason = "ALREADY_INVITED"
            call = self.people[who].invite(self.people[to].email, role, role_ids)
            if self.expect(call, reason):
                listed = self.run(self.people[who].list_invitations()).invitations
                (made,) = [i.id for i in listed if i.id not in self.offers]
                self.offers[made] = Offer(to, role, frozenset(role_ids))

        @rule(who=_PEOPLE, to=_PEOPLE, role=_KINDS, roles=_WANTED)
        def change(self, who: int, to: int, role: str, roles: tuple[bool, bool]) -> None:
            if (id_ := self.latest(to)) is None:
                return
            offer, role_ids = self.offers[id_], self.wanted(roles)
            reason = self.denied(who) or ("" if offer.open else offer.over)
            if self.expect(self.people[who].change_invitation(id_, role, role_ids), reason):
                offer.role, offer.roles = role, frozenset(role_ids)

        @rule(who=_PEOPLE, to=_PEOPLE)
        def cancel(self, who: int, to: int) -> None:
            if (id_ := self.latest(to)) is None:
                return
            offer = self.offers[id_]
            reason = self.denied(who) or ("" if offer.open else offer.over)
            if self.expect(self.people[who].cancel(id_), reason):
                offer.status = "cancelled"

        @rule(who=_PEOPLE, to=_PEOPLE)
        def accept(self, who: int, to: int) -> None:
            if (id_ := self.latest(to)) is None:
                return
            offer, reason = self.offers[id_], ""
            if who != to:
                reason = "INVITATION_NOT_FOUND"
            elif not offer.open:
                reason = offer.over
            elif to in self.members:
                reason = "ALREADY_A_MEMBER"
            if self.expect(self.people[who].accept(id_), reason):
                offer.status = "accepted"
                self.members[to] = (offer.role, offer.roles)

        @rule(who=_PEOPLE, to=_PEOPLE)
        def decline(self, who: int, to: int) -> None:
            if (id_ := self.latest(to)) is None:
                return
            offer = self.offers[id_]
            reason = "INVITATION_NOT_FOUND" if who != to else "" if offer.open else offer.over
            if self.expect(self.people[who].decline(id_), reason):
                offer.status = "declined"

        @rule(to=_PEOPLE)
        def expire(self, to: int) -> None:
            if (id_ := self.latest(to)) is not None:
                self.run(age(self.people[0], id_))
                self.offers[id_].expired = True

        @rule(who=_PEOPLE, whom=_PEOPLE, role=_KINDS, roles=_WANTED)
        def set_access(self, who: int, whom: int, role: str, roles: tuple[bool, bool]) -> None:
            role_ids = self.wanted(roles)
            reason = self.denied(who)
            if not reason and who == whom:
                reason = "OWN_ACCESS"
            elif not reason and whom not in self.members:
                reason = "MEMBER_NOT_FOUND"
            call = self.people[who].set_access(self.people[whom].user_id, role, role_ids)
            if self.expect(call, reason):
                self.members[whom] = (role, frozenset(role_ids))

        @rule(who=_PEOPLE, whom=_PEOPLE)
        def remove(self, who: int, whom: int) -> None:
            reason = self.denied(who)
            if not reason and whom not in self.members:
                reason = "MEMBER_NOT_FOUND"
            elif not reason and self.owners() == [whom]:
                reason = "LAST_OWNER"
            if self.expect(self.people[who].remove(self.people[whom].user_id), reason):
                del self.members[whom]

        @rule(who=_PEOPLE)
        def leave(self, who: int) -> None:
            reason = "" if who in self.members else "ORGANIZATION_FORBIDDEN"
            if self.owners() == [who]:
                reason = "LAST_OWNER"
            if self.expect(self.people[who].leave(), reason):
                del self.members[who]

        @rule(who=_PEOPLE)
        def make_role(self, who: int) -> None:
            if self.expect(self.people[who].make_role(), self.denied(who)):
                listed = self.run(self.people[who].list_roles()).roles
                self.own += [r.id for r in listed if not r.is_global and r.id not in self.own]

        @rule(who=_PEOPLE)
        def delete_role(self, who: int) -> None:
            if not self.own:
                return
            role, reason = self.own[-1], self.denied(who)
            held = any(role in roles for _, roles in self.members.values())
            offered = any(role in o.roles and o.open for o in self.offers.values())
            if not reason and (held or offered):
                reason = "ROLE_ASSIGNED"
            if self.expect(self.people[who].delete_role(role), reason):
                self.own.pop()

        @invariant()
        def what_is_listed_is_what_was_done(self) -> None:
            owners = self.owners()
            assert owners
            reader = self.people[owners[0]]
            assert self.run(_shown(reader, self.people)) == (
                self.members,
                {i: (o.role, o.roles) for i, o in self.offers.items() if o.open},
                sorted(self.own),
            )

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=lives,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


async def _shown(reader: Actor, people: list[Actor]) -> tuple[Any, Any, list[str]]:
    numbers = {person.user_id: n for n, person in enumerate(people)}
    kinds = {proto: name for name, proto in ROLES.items()}
    members, invitations, roles = await asyncio.gather(
        reader.list_members(), reader.list_invitations(), reader.list_roles()
    )
    return (
        {
            numbers[m.user_id]: (kinds[m.role], frozenset(r.id for r in m.roles))
            for m in members.members
        },
        {
            i.id: (kinds[i.role], frozenset(r.id for r in i.roles))
            for i in invitations.invitations
            if i.status == PENDING
        },
        sorted(r.id for r in roles.roles if not r.is_global),
    )
