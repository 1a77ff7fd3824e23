"""What other contexts are told; fields as in ratoon.events.v1."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BuildSeen:
    """See ratoon.events.v1.BuildSeen."""

    dockerfile: str
    context_hashes: list[str]
    ref: str
    create_micros: int
    update_micros: int


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
    version: int = 1
    use_count: int = 0
    build: BuildSeen | None = None


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


@dataclass(frozen=True, slots=True)
class SnapshotShared:
    """See ratoon.events.v1.SnapshotShared."""

    snapshot_id: str
    name: str
    owner_id: str
    receiver_id: str
    rights: list[str]
    expires_at: str


@dataclass(frozen=True, slots=True)
class SnapshotUnshared:
    """See ratoon.events.v1.SnapshotUnshared."""

    snapshot_id: str
    name: str
    owner_id: str
    receiver_id: str
    cause: str


@dataclass(frozen=True, slots=True)
class SnapshotVersionCreated:
    """See ratoon.events.v1.SnapshotVersionCreated."""

    snapshot_id: str
    name: str
    number: int
    image: str


@dataclass(frozen=True, slots=True)
class SnapshotVersionActivated:
    """See ratoon.events.v1.SnapshotVersionActivated."""

    snapshot_id: str
    name: str
    old_number: int
    number: int
    ref: str
    rolled_back: bool


@dataclass(frozen=True, slots=True)
class Audited:
    """See ratoon.events.v1.Audited."""

    action: str
    target_type: str
    target_id: str
    metadata: str = ""
