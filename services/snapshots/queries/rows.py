"""How a snapshot is read for an answer: these columns, in this order, by position."""

from typing import Any, TypeAlias

# asyncpg's records, read by position.
Row: TypeAlias = Any


def columns(shared: str = "NULL::boolean") -> str:
    """Return the columns; `shared`: where the last of them is found."""
    return f"{_COLUMNS}, {shared}"


def _micros(column: str) -> str:
    return f"(date_part('epoch', s.{column}) * 1000000)::bigint"


# 0 id, 1 organization, 2 general, 3 name, 4 image, 5 state (the number in the contract), 6 size, 7 entrypoint,
# 8 cpu, 9 gpu, 10 memory, 11 disk, 12-14 failure, 15 regions, 16 ref, 17 source, 18 created, 19 updated, 20 used
# (microseconds), 21 pull, 22 build, 23 uses, 24 version, 25 whether it may be used and not only seen, because it is shared with who asks; NULL: it is not
_COLUMNS = (
    "s.id::text, s.organization_id::text, s.general, s.name, s.image_ref, s.state_rank, s.size_bytes, s.entrypoint,"
    " s.cpu, s.gpu, s.memory, s.disk, s.error_code, s.error_reason, s.error_remedy, s.region_ids, s.ref,"
    f" s.source_sandbox_id, {_micros('created_at')}, {_micros('updated_at')}, {_micros('last_used_at')}, s.pull_id,"
    " s.build_id, s.use_count, s.version"
)
COLUMNS = columns()
ORGANIZATION_ID, GENERAL, PULL_ID, BUILD_ID, USES, SHARED_USE = 1, 2, 21, 22, 23, 25
WIDTH = 26
