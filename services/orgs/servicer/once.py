"""Creates that are done once for each Idempotency-Key."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from chassis import idempotency

_Answer = TypeVar("_Answer", bound=Any)


async def once(
    session: AsyncSession,
    scope: str,
    request: Any,
    answer: type[_Answer],
    create: Callable[[AsyncSession], Awaitable[_Answer]],
) -> _Answer:
    """Return what `create` makes, or what it made before for the same `request_id` in this scope."""
    key = request.request_id
    if not key:
        return await create(session)
    body = request.SerializeToString()
    before = await idempotency.replay(session, scope, key, body)
    if before is not None:
        found: _Answer = answer.FromString(before)
        return found
    made = await create(session)
    await idempotency.record(session, scope, key, body, made.SerializeToString())
    return made


def plainly(
    create: Callable[[Any], Awaitable[_Answer]],
) -> Callable[[AsyncSession], Awaitable[_Answer]]:
    """Have what is made by plain statements made in a session's transaction."""

    async def create_in(session: AsyncSession) -> _Answer:
        raw = await (await session.connection()).get_raw_connection()
        return await create(raw.driver_connection)

    return create_in
