"""What happens in all contexts, made into webhook messages in the transaction of the feed's cursor."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from chassis.grpc.consumer import HandleAll
from ratoon.events.v1 import event_pb2
from services.orgs.commands.webhooks import messages
from services.orgs.convert.told import messages_of


def into_webhooks(context: str) -> HandleAll:
    """Return what tells endpoints of the events of a context; told again, they change nothing."""

    async def tell(session: AsyncSession, events: Sequence[event_pb2.Event]) -> None:
        await messages.make(session, messages_of(context, events, datetime.now(UTC)))

    return tell
