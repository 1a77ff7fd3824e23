"""Columns of keys and people, and the rows made of them."""

from typing import Any

from services.auth.domain.api_keys import ApiKey
from services.auth.domain.people import Person, SystemRole

KEY = (
    "k.id::text, k.organization_id::text, k.user_id, k.name, k.permissions, k.prefix, k.suffix,"
    " k.created_at, k.system_admin, k.expires_at, k.last_used_at, k.revision,"
    " CASE WHEN k.previous_expires_at > now() THEN k.previous_expires_at END"
)
KEY_WIDTH = 13
PERSON = (
    "u.id, u.name, u.email, u.email_verified, u.created_at, u.updated_at, u.system_role, u.local,"
    " u.settled, u.claims_at, u.disabled_at, u.public_key, u.service_account"
)


def key(r: Any) -> ApiKey:
    return ApiKey(
        id=r[0],
        organization_id=r[1],
        user_id=r[2],
        name=r[3],
        permissions=tuple(r[4]),
        prefix=r[5],
        suffix=r[6],
        created_at=r[7],
        system_admin=r[8],
        expires_at=r[9],
        last_used_at=r[10],
        revision=r[11],
        previous_expires_at=r[12],
    )


def person(r: Any) -> Person:
    return Person(
        id=r[0],
        name=r[1],
        email=r[2],
        email_verified=r[3],
        created_at=r[4],
        updated_at=r[5],
        system_role=SystemRole(r[6]),
        local=r[7],
        settled=r[8],
        claims_at=r[9],
        disabled_at=r[10],
        public_key=r[11],
        service_account=r[12],
    )
