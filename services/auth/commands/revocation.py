"""Keys deleted, and with the deletion the word that nothing established by them holds any longer."""

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.origin import current_origin
from chassis.outbox import CHANNEL, announce
from services.auth.domain.events import CallerRevoked

REVOKED = "revoked"
# Keys that were being made while the membership ended are its keys, too. Nobody is invited again within that time.
_RACING = timedelta(seconds=10)


def _deletion(which: str) -> str:
    # The wake-up of the revocations is a channel of its own: events that revoke nothing shall not wake them.
    return f"""
    WITH gone AS (DELETE FROM api_keys WHERE {which} RETURNING id, organization_id, user_id, name),
    told AS (
        INSERT INTO outbox (type, organization_id, payload, origin)
        SELECT 'caller_revoked', organization_id::text,
               jsonb_build_object('api_key_id', id, 'user_id', '', 'organization_id', ''),
               CAST(:origin AS jsonb) FROM gone
        UNION ALL
        SELECT 'api_key_deleted', organization_id::text,
               jsonb_build_object('api_key_id', id, 'user_id', user_id, 'name', name),
               CAST(:origin AS jsonb) FROM gone
    )
    SELECT id::text, pg_notify('{REVOKED}', ''), pg_notify('{CHANNEL}', '') FROM gone
    """


_NAMED = text(
    _deletion(
        "organization_id = CAST(:organization_id AS uuid) AND user_id = :user_id AND name = :name"
    )
)
_BY_ID = text(_deletion("id = CAST(:id AS uuid)"))
_OF_MEMBER = text(
    _deletion(
        "organization_id = CAST(:organization_id AS uuid) AND user_id = :user_id AND created_at < :before"
    )
)
_OF_ORGANIZATION = text(_deletion("organization_id = CAST(:organization_id AS uuid)"))


_WAKE = text(f"SELECT pg_notify('{REVOKED}', '')")


async def revoke(
    session: AsyncSession,
    *,
    api_key_id: str = "",
    user_id: str = "",
    of_organization: object = None,
) -> None:
    """Say, when the transaction commits, that whoever was established by the key or as the user has to be anew."""
    await announce(session, CallerRevoked(api_key_id, user_id), organization_id=of_organization)
    await session.execute(_WAKE)


async def delete_named(
    session: AsyncSession, organization_id: str, user_id: str, name: str
) -> bool:
    """Delete one key of an organization; tell whether it was there."""
    if "\0" in user_id + name:  # nothing that the database could compare
        return False
    which = {"organization_id": organization_id, "user_id": user_id, "name": name}
    return await _delete(session, _NAMED, **which)


async def delete_by_id(session: AsyncSession, id_: str) -> None:
    await _delete(session, _BY_ID, id=id_)


async def delete_of_member(
    session: AsyncSession, organization_id: str, user_id: str, ended: datetime
) -> None:
    """Delete what somebody held in an organization; keys made after a later return stay."""
    which = {"organization_id": organization_id, "user_id": user_id, "before": ended + _RACING}
    await _delete(session, _OF_MEMBER, **which)


async def delete_of_organization(session: AsyncSession, organization_id: str) -> None:
    await _delete(session, _OF_ORGANIZATION, organization_id=organization_id)


async def _delete(session: AsyncSession, statement: TextClause, **which: object) -> bool:
    origin = msgspec.json.encode(current_origin.get()).decode()
    found = await session.execute(statement, {**which, "origin": origin})
    return found.first() is not None
