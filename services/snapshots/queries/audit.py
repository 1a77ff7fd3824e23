"""Questions whose answer is nothing, at every moment, as long as the rows tell the truth."""

from collections.abc import AsyncIterator, Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from services.snapshots.domain import CONSUMING

# Each says who it is about and what is wrong there. A place of the quota is taken by `consuming` states.
QUESTIONS: Mapping[str, str] = {
    "usage": """
        SELECT u.organization_id::text, format('%s places are said to be used, %s are; %s snapshots are said to be there, %s are',
            u.used, n.used, u.total, n.total)
        FROM (SELECT organization_id, count(*) FILTER (WHERE state = ANY(:consuming)) AS used,
                count(*) FILTER (WHERE NOT general) AS total FROM snapshots GROUP BY organization_id) AS n
        FULL JOIN usage AS u USING (organization_id)
        WHERE (coalesce(u.used, 0), coalesce(u.total, 0)) <> (coalesce(n.used, 0), coalesce(n.total, 0))""",
    "active without its artifact": """
        SELECT s.id::text, 'its image is not in the store' FROM snapshots AS s LEFT JOIN artifacts AS a ON a.id = s.artifact_id
        WHERE s.state = 'active' AND a.stored IS NOT TRUE""",
    "reference of another artifact": """
        SELECT s.id::text, format('its reference is %s, its artifact is %s', s.ref, a.manifest_digest)
        FROM snapshots AS s JOIN artifacts AS a ON a.id = s.artifact_id
        WHERE s.ref <> a.repository || '@' || a.manifest_digest""",
    "artifact of another organization": """
        SELECT s.id::text, 'its artifact was brought by ' || a.organization_id
        FROM snapshots AS s JOIN artifacts AS a ON a.id = s.artifact_id WHERE s.organization_id <> a.organization_id""",
    "waiting for nothing": """
        SELECT id::text, 'nobody works on it' FROM snapshots WHERE state IN ('pending', 'pulling', 'building') AND pull_id IS NULL
        UNION ALL SELECT snapshot_id::text, format('nobody works on version %s', number) FROM versions
        WHERE state = 'pending' AND pull_id IS NULL""",
    "work after the end": """
        SELECT id::text, format('it is %s and somebody works on it', state) FROM snapshots
        WHERE state NOT IN ('pending', 'pulling', 'building') AND pull_id IS NOT NULL""",
    "work for nobody": """
        SELECT id::text, 'nobody waits for ' || image_ref FROM pulls AS p
        WHERE NOT EXISTS (SELECT FROM snapshots WHERE pull_id = p.id)
        AND NOT EXISTS (SELECT FROM versions WHERE pull_id = p.id)""",
    "failure without a reason": """
        SELECT id::text, 'it failed and does not say why' FROM snapshots
        WHERE state IN ('error', 'build_failed') AND error_code = ''""",
    "artifact that nothing refers to": """
        SELECT id::text, manifest_digest FROM artifacts AS a
        WHERE NOT EXISTS (SELECT FROM snapshots WHERE artifact_id = a.id)
        AND NOT EXISTS (SELECT FROM versions WHERE artifact_id = a.id)
        AND NOT EXISTS (SELECT FROM loose_artifacts WHERE artifact_id = a.id)""",
    "stored artifact without blobs": """
        SELECT id::text, manifest_digest FROM artifacts AS a
        WHERE stored AND NOT EXISTS (SELECT FROM artifact_blobs WHERE artifact_id = a.id)""",
    "blob that nothing refers to": """
        SELECT digest, 'neither needed nor garbage' FROM blobs AS b
        WHERE NOT EXISTS (SELECT FROM artifact_blobs WHERE digest = b.digest)
        AND NOT EXISTS (SELECT FROM pull_blobs WHERE digest = b.digest)
        AND NOT EXISTS (SELECT FROM garbage WHERE digest = b.digest)""",
}


async def answers(session: AsyncSession, *, limit: int) -> list[tuple[str, str, str]]:
    """Ask everything of one moment; return (question, about whom, what is wrong), at most `limit` of a question."""
    await session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
    return [answer async for answer in _ask(session, limit)]


async def _ask(session: AsyncSession, limit: int) -> AsyncIterator[tuple[str, str, str]]:
    consuming = sorted(state.value for state in CONSUMING)
    for question, statement in QUESTIONS.items():
        bound = {"consuming": consuming} if ":consuming" in statement else {}
        rows = await session.execute(text(f"{statement} LIMIT :limit"), {**bound, "limit": limit})
        for about, wrong in rows:
            yield question, about, wrong
