"""SnapshotService over gRPC: unwrap, act in one transaction, wrap."""

from services.snapshots.servicer.notifier import Notifier
from services.snapshots.servicer.service import SnapshotServicer

__all__ = ["Notifier", "SnapshotServicer"]
