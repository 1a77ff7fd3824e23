"""Snapshots that everybody may use."""

from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from chassis.outbox import announce
from services.snapshots.commands.audited import audited
from services.snapshots.domain import OrganizationGone, SnapshotNotFound, State, StateConflict

_HOLD = text("SELECT organization_id, state, general FROM snapshots WHERE id = :id FOR UPDATE")
# The generation grows: whoever read before that it may be deleted, or goes out of use, looks again.
_SET = text(
    "UPDATE snapshots SET general = :general, generation = generation + 1, updated_at = clock_timestamp()"
    " WHERE id = :id"
)
_ACCOUNT = text(
    "UPDATE usage SET total = total + :more WHERE organization_id = :organization_id RETURNING closed"
)


async def set_general(session: AsyncSession, id_: UUID, *, general: bool) -> None:
    """Show a snapshot to everybody, or to its organization alone. Refused as SetSnapshotGeneral says."""
    snapshot = (await session.execute(_HOLD, {"id": id_})).one_or_none()
    if snapshot is None:
        raise SnapshotNotFound(f"snapshot {id_} does not exist", snapshot=str(id_))
    if snapshot.general == general:
        return
    if snapshot.state == State.REMOVING:
        raise StateConflict("the snapshot is being removed", current=snapshot.state)
    await session.execute(_SET, {"id": id_, "general": general})
    # General ones are not counted among those that only their organization sees.
    counted = {"organization_id": snapshot.organization_id, "more": -1 if general else 1}
    if await session.scalar(_ACCOUNT, counted):
        raise OrganizationGone("its organization is deleted")
    told = audited("set_general_status", id_, general=general)
    await announce(session, told, organization_id=snapshot.organization_id)
