"""Access tokens of the issuer, verified."""

import json
import time
from base64 import urlsafe_b64decode
from dataclasses import replace
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from services.auth.domain.access import CredentialInvalid
from services.auth.domain.people import Claims, claims_of
from services.auth.oidc.keys import Keys

ALGORITHMS = ("RS256", "ES256")
# Issuers put what they like into headers; only what must be understood (`crit`) may stop a token.
_REGISTRY = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
_BROKEN = (JoseError, ValueError, TypeError, KeyError, RecursionError)


class OidcIssuer:
    """Verifies signature, issuer, audience and times; these with a leeway, if clocks are known to differ."""

    def __init__(self, keys: Keys, audience: str, leeway: float = 0.0) -> None:
        self._keys = keys
        self._audience = audience
        self._leeway = leeway

    async def verify(self, token: str) -> Claims:
        header = _header(token)
        if header.get("alg") not in ALGORITHMS:
            raise CredentialInvalid
        kid = header.get("kid")
        found = await self._keys.find(None if kid is None else str(kid))
        if found is None:
            raise CredentialInvalid
        issuer, key = found
        try:
            claims = jwt.decode(token, key.key, [key.algorithm], _REGISTRY).claims
        except _BROKEN:
            raise CredentialInvalid from None
        self._check(claims, issuer)
        said = claims_of(claims)
        return replace(said, expires_at=said.expires_at + self._leeway)

    def _check(self, claims: dict[str, Any], issuer: str) -> None:
        audience = claims.get("aud")
        for_us = (
            self._audience in audience if isinstance(audience, list) else audience == self._audience
        )
        begins, ends = _number(claims.get("nbf", 0.0)), _number(claims.get("exp"))
        in_time = begins - self._leeway <= time.time() < ends + self._leeway
        if claims.get("iss") != issuer or not for_us or not in_time:
            raise CredentialInvalid


def _header(token: str) -> dict[str, Any]:
    try:
        encoded = token.partition(".")[0]
        header = json.loads(urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    except (ValueError, RecursionError):
        raise CredentialInvalid from None
    if not isinstance(header, dict):
        raise CredentialInvalid
    return header


def _number(value: object) -> float:
    # No number compares as false with every time.
    return float(value) if isinstance(value, int | float) else float("nan")
