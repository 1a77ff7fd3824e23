"""What happens in all contexts, written into the audit log without anybody asking for it."""

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.grpc.consumer import HandleAll
from ratoon.events.v1 import event_pb2
from services.orgs.commands import audit
from services.orgs.convert.audited import record_of


def into_audit_log(context: str) -> HandleAll:
    """Return what writes the events of a context into the log; told again, they change nothing."""

    async def write(session: AsyncSession, events: Sequence[event_pb2.Event]) -> None:
        records = (record_of(context, event) for event in events)
        await audit.write(session, (r for r in records if r is not None))

    return write
