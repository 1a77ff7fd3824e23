"""Shares lent of what windows allow: one statement for many leases, one for all that ended."""

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from chassis.db import Pool
from services.auth.domain.limits import Lease, Share

# What waits gets what is free; in advance only so much is lent that it keeps nobody far below the limit if it is left
# lying. `free` is what the window still allows.
_GRANTED = "LEAST(free, a.needed + LEAST(a.wanted, a.most / 20, free / 8))"
# Rows are locked in the order of their keys, so that two statements cannot stop each other. The account of what was
# lent stands in one row, and PostgreSQL computes on that row's latest state, whatever this statement saw before.
_LEASE = f"""
WITH asked AS MATERIALIZED (
    SELECT kind, subject, most, make_interval(secs => seconds) AS span, needed, wanted, returned, returned_window, owed
    FROM unnest($1::text[], $2::text[], $3::bigint[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                $8::bigint[], $9::bigint[])
        AS a (kind, subject, most, seconds, needed, wanted, returned, returned_window, owed)
)
INSERT INTO rate_windows AS w (kind, subject, ends_at, lent, granted)
SELECT a.kind, a.subject, now() + a.span, a.owed + granted, granted
FROM asked a,
    LATERAL (SELECT GREATEST(a.most - a.owed, 0) AS free) AS f,
    LATERAL (SELECT {_GRANTED} AS granted) AS g
ORDER BY a.kind, a.subject
ON CONFLICT (kind, subject) DO UPDATE SET (ends_at, lent, granted) = (
    SELECT ends_at, lent + granted, granted
    FROM asked a,
        LATERAL (SELECT CASE WHEN w.ends_at > now() THEN LEAST(w.ends_at, now() + a.span) ELSE now() + a.span END AS ends_at,
            a.owed + CASE WHEN w.ends_at <= now() THEN 0
                WHEN (extract(epoch FROM w.ends_at) * 1000000)::bigint = a.returned_window
                    THEN GREATEST(w.lent - a.returned, 0)
                ELSE w.lent END AS lent) AS before,
        LATERAL (SELECT GREATEST(a.most - lent, 0) AS free) AS f,
        LATERAL (SELECT {_GRANTED} AS granted) AS g
    WHERE a.kind = excluded.kind AND a.subject = excluded.subject
)
RETURNING w.kind, w.subject, w.granted, w.lent, (extract(epoch FROM w.ends_at) * 1000000)::bigint,
    extract(epoch FROM w.ends_at - clock_timestamp())::float8
"""
# It waits for nobody, so it stops nobody who locks in another order.
_FORGET = """
DELETE FROM rate_windows WHERE (kind, subject) IN (
    SELECT kind, subject FROM rate_windows WHERE ends_at < now() LIMIT 10000 FOR UPDATE SKIP LOCKED)
"""


async def lease(pool: Pool, leases: Sequence[Lease]) -> list[Share]:
    """Lend shares; return them in the order of the leases."""
    if not leases:
        return []
    columns = zip(*(astuple(one) for one in leases), strict=True)
    rows = await pool.fetch(_LEASE, *columns)
    found = {(r[0], r[1]): r for r in rows}
    return [_share(one, found[one.kind, one.subject]) for one in leases]


async def forget_ended(pool: Pool) -> None:
    """Forget windows that have ended."""
    await pool.execute(_FORGET)


def _share(asked: Lease, row: Any) -> Share:
    _, _, granted, lent, window, left = row
    return Share(granted, max(0, asked.limit - lent), window, max(0.0, left))
