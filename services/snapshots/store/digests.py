"""How content is named: `sha256:` and 64 lower-case hex digits, nothing else."""

import hashlib
import re

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class InvalidDigest(ValueError):
    """A string that names no content; it could name a path instead."""


def is_digest(name: str) -> bool:
    return _DIGEST.fullmatch(name) is not None


def hex_of(digest: str) -> str:
    found = _DIGEST.fullmatch(digest)
    if found is None:
        raise InvalidDigest(f"not a sha256 digest: {digest[:100]!r}")
    return found[1]


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()
