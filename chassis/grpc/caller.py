"""Caller tokens: who calls, signed; made by auth for people and by each machine for itself, verified by everybody."""

import hashlib
import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import OrderedDict
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from chassis.errors import Kind, Refusal

AUDIENCE = "ratoon"
LIFETIME = 60.0
METADATA_KEY = "ratoon-caller"
_CLOCK_SKEW = 5.0
_REMEMBERED = 4096


class CallerInvalid(Refusal):
    kind, reason = Kind.UNAUTHENTICATED, "CALLER_TOKEN_INVALID"


class Caller(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who calls and what it may do; fields as in ratoon.auth.v1.Caller. Kinds: `api_key`, `oidc`, `service`."""

    credential: str
    user_id: str = ""
    email: str = ""
    email_verified: bool = False
    organization_id: str = ""
    organization_role: str = ""
    permissions: frozenset[str] = frozenset()
    system_admin: bool = False
    api_key_prefix: str = ""
    api_key_suffix: str = ""
    api_key_id: str = ""
    account_key: bool = False
    service: str = ""


class _Header(msgspec.Struct):
    kid: str


class _Claims(msgspec.Struct):
    iss: str
    aud: str
    iat: float
    exp: float
    caller: Caller


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Claims).decode
_decode_header = msgspec.json.Decoder(_Header).decode


class Identity:
    """A machine's own key pair."""

    def __init__(self, service: str, key: Ed25519PrivateKey) -> None:
        self.service = service
        self._key = key
        self.kid = kid_of(key.public_key())
        header = {"alg": "EdDSA", "typ": "JWT", "kid": self.kid}
        self._header = _b64(_encode(header))
        self._own: tuple[float, tuple[tuple[str, str], ...]] = (0.0, ())

    @classmethod
    def load(cls, path: Path | str, service: str) -> "Identity":
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
        if not isinstance(key, Ed25519PrivateKey):
            raise TypeError(f"{path} holds no Ed25519 key")
        return cls(service, key)

    def sign(
        self, caller: Caller, issued: float | None = None, until: float | None = None
    ) -> tuple[str, float]:
        """Return a token for `caller` and when it expires (Unix time).

        `issued` is the moment before whatever established the caller was read; what is revoked later is refused.
        `until` is when that ends by itself: no token outlives it.
        """
        issued = time.time() if issued is None else issued
        expires = issued + LIFETIME if until is None else min(until, issued + LIFETIME)
        claims = _Claims(self.service, AUDIENCE, issued, expires, caller)
        signed = self._header + b"." + _b64(_encode(claims))
        return (signed + b"." + _b64(self._key.sign(signed))).decode(), expires

    def derive(self, purpose: str) -> bytes:
        """Return 32 secret bytes that only this machine can make, others for every purpose."""
        return HKDF(SHA256(), 32, salt=None, info=purpose.encode()).derive(
            self._key.private_bytes_raw()
        )

    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return call metadata that says that this machine calls in its own name; signed anew twice a minute."""
        renew, metadata = self._own
        if time.time() >= renew:
            token, expires = self.sign(Caller(credential="service", service=self.service))
            metadata = ((METADATA_KEY, token),)
            self._own = (expires - LIFETIME / 2, metadata)
        return metadata


class Trust:
    """The public keys of the system's machines. Only auth may speak for others than itself."""

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path)
        self._keys: dict[str, tuple[str, Ed25519PublicKey]] = {}
        self._modified = 0
        self._load()

    def key(self, kid: str) -> tuple[str, Ed25519PublicKey] | None:
        """Return (issuer, key); a key that is not known is looked for in the file, if that has changed."""
        if kid not in self._keys and self._path.stat().st_mtime_ns != self._modified:
            self._load()
        return self._keys.get(kid)

    def _load(self) -> None:
        self._modified = self._path.stat().st_mtime_ns
        listed = json.loads(self._path.read_text())["keys"]
        self._keys = {
            k["kid"]: (k["issuer"], Ed25519PublicKey.from_public_bytes(_unb64(k["public"])))
            for k in listed
        }


class Verifier:
    """Verifies tokens and remembers the ones seen, so that the second look at one is free."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self._seen: OrderedDict[str, tuple[Caller, float, float, int]] = OrderedDict()
        self._revoked: list[tuple[float, str, str, str]] = []
        self._generation = 0

    def verify(self, token: str) -> Caller:
        """Return the caller, or refuse with CALLER_TOKEN_INVALID."""
        entry = self._seen.get(token)
        if entry is None:
            entry = self._remember(token)
        caller, issued, expires, generation = entry
        if expires < time.time():
            raise CallerInvalid("the caller token has expired")
        if generation != self._generation:
            if any(_matches(r, caller, issued) for r in self._revoked):
                raise CallerInvalid("the caller token is revoked")
            self._seen[token] = (caller, issued, expires, self._generation)
        return caller

    def revoke(self, at: float, api_key_id: str, user_id: str, organization_id: str) -> None:
        """Refuse matching tokens issued up to `at` (Unix time), for as long as one could still be valid."""
        horizon = time.time() - LIFETIME - _CLOCK_SKEW
        self._revoked = [r for r in self._revoked if r[0] > horizon]
        self._revoked.append((at, api_key_id, user_id, organization_id))
        self._generation += 1

    def _remember(self, token: str) -> tuple[Caller, float, float, int]:
        claims = self._open(token)
        entry = (claims.caller, claims.iat, claims.exp, -1)
        self._seen[token] = entry
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return entry

    def _open(self, token: str) -> _Claims:
        try:
            signed, _, signature = token.rpartition(".")
            header, _, payload = signed.partition(".")
            known = self._trust.key(_decode_header(_unb64(header)).kid)
            if known is None:
                raise CallerInvalid("the caller token is signed by a stranger")
            issuer, key = known
            key.verify(_unb64(signature), signed.encode())
            claims = _decode(_unb64(payload))
        except (ValueError, InvalidSignature, msgspec.DecodeError, RecursionError) as broken:
            raise CallerInvalid("the caller token is broken") from broken
        _check_claims(claims, issuer)
        return claims


def _check_claims(claims: _Claims, issuer: str) -> None:
    now = time.time()
    if claims.iss != issuer or claims.aud != AUDIENCE:
        raise CallerInvalid("the caller token is for somebody else")
    if claims.iat > now + _CLOCK_SKEW or claims.exp > claims.iat + LIFETIME:
        raise CallerInvalid("the caller token has an impossible time")
    own_name = claims.caller.credential == "service" and claims.caller.service == issuer
    if issuer != "auth" and not own_name:
        raise CallerInvalid("a machine may only speak for itself")


def _matches(revoked: tuple[float, str, str, str], caller: Caller, issued: float) -> bool:
    at, key, user, organization = revoked
    return (
        issued <= at
        # Machines speak for themselves: nobody established them, and what people may concerns none of them.
        and caller.credential != "service"
        and (not key or key == caller.api_key_id)
        and (not user or user == caller.user_id)
        and (not organization or organization == caller.organization_id)
    )


def kid_of(key: Ed25519PublicKey) -> str:
    """Return a key's id: the first 16 hexadecimal digits of the SHA-256 of its raw form."""
    return hashlib.sha256(key.public_bytes(Encoding.Raw, PublicFormat.Raw)).hexdigest()[:16]


def _b64(data: bytes) -> bytes:
    return urlsafe_b64encode(data).rstrip(b"=")


def _unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
