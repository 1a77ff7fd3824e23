"""What the builder is told from outside."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from services.snapshots.worker.settings import WorkerSettings

_GIB = 1 << 30


class BuilderSettings(WorkerSettings):
    """Names and defaults. Limits are of one build; the cache's is of all organizations together."""

    build_path: Path
    build_isolation: Literal["gvisor", "chroot"] = "gvisor"
    trusted_dockerfiles: bool = False
    builder_metrics_listen: str = ""
    builder_builds: int = Field(2, ge=1, le=64)
    build_deadline_seconds: float = Field(7200, gt=0)
    build_memory_bytes: int = Field(8 * _GIB, gt=0)
    build_cpus: float = Field(4, gt=0)
    build_processes: int = Field(4096, gt=0)
    build_disk_bytes: int = Field(20 * _GIB, gt=0)
    build_log_bytes: int = Field(16 << 20, gt=0)
    build_cache_bytes: int = Field(50 * _GIB, ge=0)
