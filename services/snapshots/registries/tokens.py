"""Tokens that the installation's own registry understands: JWTs signed with a key whose certificate it trusts.

See the token authentication specification of the distribution registry: header `x5c`, claims `iss`, `aud`, `access`.
"""

import base64
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from joserfc import jwt
from joserfc.jwk import ECKey

from services.snapshots.domain.grants import Access
from services.snapshots.registries.pushed import Pushed

ISSUER, SERVICE = "ratoon", "ratoon-registry"
LIFETIME = 300
# Clocks differ.
_EARLIER = 30


@dataclass(frozen=True, slots=True)
class PushAccess:
    """The installation's own registry, and who signs tokens for it."""

    host: str
    signer: "TokenSigner"
    # None: its files are elsewhere, and so is what limits them.
    pushed: Pushed | None = None
    limit_bytes: int = 0


class TokenSigner:
    """Signs with a P-256 key; its certificate is what the registry is given as `rootcertbundle`."""

    def __init__(self, key: Path, certificate: Path) -> None:
        self._key = ECKey.import_key(key.read_bytes())
        trusted = x509.load_pem_x509_certificate(certificate.read_bytes())
        der = base64.b64encode(trusted.public_bytes(Encoding.DER)).decode()
        self._header = {"alg": "ES256", "typ": "JWT", "x5c": [der]}

    def sign(self, subject: str, access: Sequence[Access], until: datetime) -> tuple[str, int, int]:
        """Return a token, when it was signed (Unix time) and how many seconds it holds: not beyond `until`."""
        now = int(time.time())
        seconds = max(1, min(LIFETIME, int(until.timestamp()) - now))
        claims = {
            "iss": ISSUER,
            "aud": SERVICE,
            "sub": subject,
            "iat": now,
            "nbf": now - _EARLIER,
            "exp": now + seconds,
            "jti": uuid4().hex,
            "access": [
                {"type": "repository", "name": one.repository, "actions": list(one.actions)}
                for one in access
            ],
        }
        return jwt.encode(self._header, claims, self._key), now, seconds
