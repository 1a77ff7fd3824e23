"""How this context stores what it keeps, one module a noun."""

from chassis.schema import describe
from services.snapshots.tables.artifacts import (
    Artifact,
    ArtifactBlob,
    ArtifactDigest,
    Blob,
    Garbage,
    LooseArtifact,
)
from services.snapshots.tables.base import Base
from services.snapshots.tables.builds import Build, BuildLog
from services.snapshots.tables.bulk import BulkItem, BulkJob
from services.snapshots.tables.organizations import Review, Usage
from services.snapshots.tables.pulls import Pull, PullBlob, Turn
from services.snapshots.tables.registries import PushGrant, Registry
from services.snapshots.tables.shares import Share
from services.snapshots.tables.snapshots import Snapshot
from services.snapshots.tables.uses import Use
from services.snapshots.tables.versions import Trim, Version

__all__ = [
    "Artifact",
    "ArtifactBlob",
    "ArtifactDigest",
    "Base",
    "Blob",
    "Build",
    "BuildLog",
    "BulkItem",
    "BulkJob",
    "Garbage",
    "LooseArtifact",
    "Pull",
    "PullBlob",
    "PushGrant",
    "Registry",
    "Review",
    "Share",
    "Snapshot",
    "Trim",
    "Turn",
    "Usage",
    "Use",
    "Version",
]

describe(Base.metadata)
