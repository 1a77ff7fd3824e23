"""What `ratoon up` was asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.state import Home

ADMIN_EMAIL = "admin@ratoon.internal"


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for."""

    home: Home
    port: int
    edge: bool
    object_storage: bool
    postgres_bin: Path | None
    admin_email: str
    environ: Mapping[str, str]
