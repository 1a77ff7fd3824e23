"""From a credential to a caller."""

import time
from dataclasses import dataclass

from chassis.db import Database
from chassis.grpc.caller import Caller
from services.auth.commands import people
from services.auth.convert import caller_of
from services.auth.domain.access import (
    CredentialInvalid,
    Hints,
    Membership,
    OrganizationForbidden,
    RateLimits,
    looks_like_jwt,
    permitted_to_key,
)
from services.auth.domain.api_keys import ApiKey, digest, suffix_of
from services.auth.domain.machines import ServiceCredentials
from services.auth.domain.people import Claims, Issuer, Person, synced
from services.auth.peers import Organizations
from services.auth.queries import api_keys as key_queries
from services.auth.queries import people as queries
from services.auth.servicer.regions import RegionMachines

_LONGEST = 16 << 10
# Shorter than what a gateway wants of a token that it keeps: it asks for such a caller each time, and so a secret that
# its region replaced is refused at once. No event would name it.
_REGION_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Established:
    """A caller, the key that was used, and when either ends by itself (Unix time)."""

    caller: Caller
    key: ApiKey | None = None
    until: float | None = None
    rate_limits: RateLimits | None = None


class Credentials:
    """Knows the machines, the keys, and the people of the issuer, if there is one."""

    def __init__(
        self,
        database: Database,
        organizations: Organizations,
        machines: ServiceCredentials,
        issuer: Issuer | None,
    ) -> None:
        self._database = database
        self._organizations = organizations
        self._machines = machines
        self._issuer = issuer
        self._regions = RegionMachines(organizations)

    async def establish(self, credential: str, hints: Hints) -> Established:
        """Return who presents the credential; refused with CREDENTIAL_INVALID or ORGANIZATION_FORBIDDEN."""
        if not 0 < len(credential) <= _LONGEST:
            raise CredentialInvalid
        if machine := self._machines.machine(credential):
            return Established(Caller(credential="service", service=machine))
        if looks_like_jwt(credential):
            return await self._by_token(credential, hints)
        return await self._by_key(credential, hints)

    async def _by_key(self, secret: str, hints: Hints) -> Established:
        found = await key_queries.established(self._database.pool, digest(secret))
        if found is None:
            return await self._by_region(secret)
        key, person, ends = found
        if key.organization_id is None:
            membership = await self._chosen_or_personal(person, hints)
        else:
            membership = await self._member(person, hints.for_key_of(key.organization_id))
        permitted = permitted_to_key(key.permissions, membership)
        caller = caller_of(person, membership, permitted, key, suffix_of(secret))
        limits = membership.rate_limits if membership else None
        return Established(caller, key, ends.timestamp() if ends else None, limits)

    async def _by_region(self, secret: str) -> Established:
        until = time.time() + _REGION_SECONDS
        machine = await self._regions.named(secret, digest(secret))
        if machine is None:
            raise CredentialInvalid
        return Established(Caller(credential="service", service=machine), None, until)

    async def _by_token(self, token: str, hints: Hints) -> Established:
        if self._issuer is None:
            raise CredentialInvalid
        claims = await self._issuer.verify(token)
        person = await self._known(claims)
        chosen = hints.chosen()
        membership = await self._member(person, chosen) if chosen else None
        held = membership.held if membership else frozenset()
        limits = membership.rate_limits if membership else None
        caller = caller_of(person, membership, held)
        return Established(caller, None, claims.expires_at, limits)

    async def _known(self, claims: Claims) -> Person:
        person = await queries.get(self._database.pool, claims.subject)
        if person is None or (_follows(person) and synced(person, claims) is not person):
            async with self._database.sessions.begin() as session:
                person = await people.log_in(session, claims)
        if person.local or person.disabled_at is not None:
            # An issuer must not be able to speak for users that were made here, the administrator first of all.
            raise CredentialInvalid
        if not person.settled:
            await self._organizations.ensure_personal(person)
            async with self._database.sessions.begin() as session:
                await people.settle(session, person)
        return person

    async def _chosen_or_personal(self, person: Person, hints: Hints) -> Membership | None:
        chosen = hints.chosen()
        if chosen:
            return await self._member(person, chosen)
        return await self._organizations.membership(person.id, "")

    async def _member(self, person: Person, organization_id: str) -> Membership:
        membership = await self._organizations.membership(person.id, organization_id)
        if membership is None:
            raise OrganizationForbidden
        return membership


def _follows(person: Person) -> bool:
    """Tell whether the issuer's word changes the person: not who was made here, nor who is disabled."""
    return not person.local and person.disabled_at is None
