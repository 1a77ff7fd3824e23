"""What other contexts are told; fields as in ratoon.events.v1."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotSeen:
    """See ratoon.events.v1.SnapshotSeen."""

    image_ref: str
    cpu: int
    gpu: int
    memory: int
    disk: int
    region_ids: list[str]
    entrypoint: list[str] | None = None
    general: bool = False
    size_bytes: int | None = None
    ref: str = ""
    source_sandbox_id: str | None = None
    failure_code: str | None = None
    failure_reason: str | None = None
    failure_remedy: str | None = None
    create_micros: int = 0
    update_micros: int = 0
    last_use_micros: int | None = None


@dataclass(frozen=True, slots=True)
class SnapshotCreated:
    """See ratoon.events.v1.SnapshotCreated."""

    snapshot_id: str
    name: str
    state: str
    region_ids: list[str]
    seen: SnapshotSeen


@dataclass(frozen=True, slots=True)
class SnapshotStateChanged:
    """See ratoon.events.v1.SnapshotStateChanged."""

    snapshot_id: str
    name: str
    old_state: str
    new_state: str
    seen: SnapshotSeen


@dataclass(frozen=True, slots=True)
class SnapshotRemoved:
    """See ratoon.events.v1.SnapshotRemoved."""

    snapshot_id: str
    name: str
    region_ids: list[str]
    seen: SnapshotSeen
