"""What is built: a Dockerfile and the contexts it copies from."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.snapshots.domain.refusals import ContextHashInvalid, DockerfileInvalid

# What a sandbox runs when neither the Dockerfile nor its base says anything.
DEFAULT_ENTRYPOINT = ["sleep", "infinity"]
PLATFORM = "linux/amd64"
CONTEXT_HASHES = 1_000
DOCKERFILE_BYTES = 256 << 10
# A part of an object's name, so it may not lead anywhere else.
_CONTEXT_HASH = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class Recipe:
    """A build that is asked for."""

    dockerfile: str
    context_hashes: tuple[str, ...]

    @property
    def ref(self) -> str:
        """The published name of these contents. It separates nothing, so it names and never identifies."""
        said = self.dockerfile + "".join(sorted(self.context_hashes))
        return f"daytona-{hashlib.sha256(said.encode()).hexdigest()}:daytona"

    def key(self, organization_id: UUID) -> str:
        """What makes two builds the same. Each part is preceded by its length: no two lists of parts look alike."""
        parts = (str(organization_id), PLATFORM, self.dockerfile, *sorted(self.context_hashes))
        sha = hashlib.sha256()
        for part in (text.encode() for text in parts):
            sha.update(len(part).to_bytes(8, "big") + part)
        return sha.hexdigest()


@dataclass(frozen=True, slots=True)
class Build:
    """A build as its snapshots tell of it."""

    recipe: Recipe
    ref: str
    created_at: datetime
    updated_at: datetime


def recipe(dockerfile: str, context_hashes: Sequence[str]) -> Recipe:
    """Return the recipe. Refused with DOCKERFILE_INVALID or CONTEXT_HASH_INVALID."""
    if "\0" in dockerfile or len(dockerfile.encode()) > DOCKERFILE_BYTES:
        raise DockerfileInvalid(
            f"a Dockerfile is text of at most {DOCKERFILE_BYTES} bytes, without NUL characters"
        )
    if len(context_hashes) > CONTEXT_HASHES:
        raise ContextHashInvalid(f"a build copies from at most {CONTEXT_HASHES} contexts")
    if not all(map(_CONTEXT_HASH.fullmatch, context_hashes)):
        raise ContextHashInvalid(
            "the hash of a context is at most 128 letters, digits, '_' and '-'"
        )
    return Recipe(dockerfile, tuple(dict.fromkeys(context_hashes)))
