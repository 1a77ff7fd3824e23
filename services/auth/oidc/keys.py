"""The issuer's signing keys, kept by id."""

import asyncio
import logging
import time
from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from services.auth.domain.people import IssuerUnavailable
from services.auth.oidc.documents import Unfetchable, discover, fetch

log = logging.getLogger(__name__)
# Keys that the issuer withdrew are forgotten within this time.
_FRESH_SECONDS = 600.0
_BETWEEN_SECONDS = 60.0
_WITHOUT_KEYS_SECONDS = 2.0
_LEAST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key and the one algorithm it verifies."""

    algorithm: str
    key: RSAKey | ECKey


class Keys:
    """Fetches keys when they are asked for by an unknown id, at most once a minute, and goes on with old ones meanwhile."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._issuer = ""
        self._keys: dict[str, SigningKey] = {}
        self._tried = float("-inf")
        self._lock = asyncio.Lock()

    async def run(self) -> None:
        """Keep the keys fresh, for ever."""
        while True:
            async with self._lock:
                fetched = await self._fetch()
            await asyncio.sleep(_FRESH_SECONDS if fetched else self._pause())

    async def find(self, kid: str | None) -> tuple[str, SigningKey] | None:
        """Return the issuer's name and its key of that id; without an id, the only key there is.

        Refused with ISSUER_UNAVAILABLE while there never were any keys.
        """
        key = self._known(kid)
        if key is None:
            async with self._lock:
                if self._known(kid) is None and time.monotonic() - self._tried >= self._pause():
                    await self._fetch()
            key = self._known(kid)
        if not self._keys:
            raise IssuerUnavailable("the issuer's keys cannot be had")
        return None if key is None else (self._issuer, key)

    def _known(self, kid: str | None) -> SigningKey | None:
        if kid is None:
            return next(iter(self._keys.values())) if len(self._keys) == 1 else None
        return self._keys.get(kid)

    def _pause(self) -> float:
        return _BETWEEN_SECONDS if self._keys else _WITHOUT_KEYS_SECONDS

    async def _fetch(self) -> bool:
        self._tried = time.monotonic()
        try:
            issuer, address = await discover(self._base_url)
            published = (await fetch(address)).get("keys")
            keys = _usable(published if isinstance(published, list) else [])
            if not keys:
                raise Unfetchable(f"{address} publishes no key that can be used")
        except Unfetchable as failed:
            log.warning("the issuer's keys cannot be had: %s", failed)
            return False
        self._issuer, self._keys = issuer, keys
        return True


def _usable(published: Iterable[Any]) -> dict[str, SigningKey]:
    # One key of a kind that is not known must not cost the others.
    keys = {}
    for entry in published:
        if isinstance(entry, dict) and (key := _signing_key(entry)):
            keys[str(entry.get("kid", ""))] = key
    return keys


def _signing_key(entry: dict[str, Any]) -> SigningKey | None:
    if entry.get("use", "sig") != "sig":
        return None
    try:
        if entry.get("kty") == "RSA" and entry.get("alg", "RS256") == "RS256":
            if _bits(entry["n"]) < _LEAST_RSA_BITS:
                return None
            return SigningKey("RS256", RSAKey.import_key(_public(entry, "n", "e")))
        if entry.get("crv") == "P-256" and entry.get("alg", "ES256") == "ES256":
            return SigningKey("ES256", ECKey.import_key(_public(entry, "crv", "x", "y")))
    except (JoseError, ValueError, TypeError, KeyError) as unusable:
        log.warning("a key of the issuer cannot be used: %s", type(unusable).__name__)
    return None


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number + "=" * (-len(number) % 4)), "big").bit_length()


def _public(entry: dict[str, Any], *names: str) -> dict[str, str | list[str]]:
    return {"kty": entry["kty"], **{name: entry[name] for name in names}}
