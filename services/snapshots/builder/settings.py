"""What the builder is told from outside."""

from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from services.snapshots.builder.reach import networks
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
    # IPv4 addresses and networks, separated by commas: of private networks and this machine's addresses, what steps may reach.
    build_reachable: str = ""

    @field_validator("build_reachable")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        networks(text)
        return text

    @property
    def reachable(self) -> tuple[IPv4Network, ...]:
        return networks(self.build_reachable)
