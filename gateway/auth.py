"""Who is calling: credentials turned into callers by auth, remembered for seconds, forgotten when revoked."""

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import grpc

from chassis.errors import Kind, Refusal
from chassis.grpc.access import CredentialMissing, OrganizationForbidden
from chassis.grpc.caller import METADATA_KEY, Caller, Identity
from chassis.grpc.status import error_info
from gateway.limits.bounds import Own, own_from_proto, subject_of
from gateway.metrics import AUTHENTICATIONS
from ratoon.access.v1 import access_pb2
from ratoon.auth.v1 import authentication_pb2
from ratoon.auth.v1 import authentication_service_pb2 as pb
from ratoon.auth.v1.api_key_pb2 import ApiKey
from ratoon.auth.v1.authentication_service_pb2_grpc import AuthenticationServiceStub

log = logging.getLogger(__name__)
_KEPT_SECONDS = 30.0
# A call that is made with the token must still find it valid when it arrives, after retries too.
_MARGIN_SECONDS = 15.0
_UNKNOWN_KEPT_SECONDS = 2.0
_REMEMBERED = 10_000
_RECENT_REVOCATIONS = 1_000
_HIT, _MISS, _UNKNOWN = (AUTHENTICATIONS.labels(r) for r in ("remembered", "asked", "unknown"))


_T = TypeVar("_T")
Metadata = tuple[tuple[str, str], ...]
Origin = Callable[[], Metadata]


class AuthUnavailable(Refusal):
    kind, reason = Kind.UNAVAILABLE, "AUTH_UNAVAILABLE"


@dataclass(slots=True)
class Established:
    """A caller, and how to prove to a service that auth established it."""

    caller: Caller
    metadata: tuple[str, str]
    api_key: ApiKey | None
    expires: float
    # How much of the watch over revocations had been heard when auth was asked, or when it was last looked through.
    watch: int
    heard: int
    # The answer to "which key is this", encoded when first asked for.
    current_key: bytes = b""
    # As whom the limits of requests count the caller, and what its organization has instead of the installation's.
    subject: str = ""
    own_limits: Own | None = None


@dataclass(frozen=True, slots=True)
class Presented:
    """What a request shows: its credential, and the organizations that its path and header name."""

    credential: str
    path_organization: str
    header_organization: str

    def digest(self) -> bytes:
        # Length-prefixed by the separator: no part can hold a NUL.
        parts = (self.credential, self.path_organization, self.header_organization)
        return hashlib.sha256("\0".join(parts).encode()).digest()


@dataclass(frozen=True, slots=True)
class _Revoked:
    api_key_id: str
    user_id: str
    organization_id: str

    def matches(self, caller: Caller) -> bool:
        return (
            (not self.api_key_id or self.api_key_id == caller.api_key_id)
            and (not self.user_id or self.user_id == caller.user_id)
            and (not self.organization_id or self.organization_id == caller.organization_id)
        )


class Authenticator:
    """Asks auth once for the same credential at a time, and not again while the answer holds."""

    def __init__(self, stub: AuthenticationServiceStub, identity: Identity) -> None:
        self._stub = stub
        self._identity = identity
        self._known: OrderedDict[bytes, Established] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Established]] = {}
        self._revoked: deque[_Revoked] = deque(maxlen=_RECENT_REVOCATIONS)
        self._heard = 0
        self._watch = 0

    async def establish(self, presented: Presented, origin: Origin) -> Established:
        """Return the caller; refused with CREDENTIAL_INVALID, ORGANIZATION_FORBIDDEN or AUTH_UNAVAILABLE.

        `origin` gives the metadata that says from where the question comes; it is called only if auth is asked.
        """
        key = presented.digest()
        now = time.monotonic()
        known = self._known.get(key)
        if known is not None:
            if known.expires > now and self._holds(known):
                _HIT.inc()
                return known
            del self._known[key]
        if self._unknown.get(key, 0.0) > now:
            _UNKNOWN.inc()
            raise CredentialMissing("a valid credential is required")
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._ask(key, presented, origin()))
        # Shielded: one waiter that goes away must not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, presented: Presented) -> None:
        """Ask again next time: a service did not accept what auth said."""
        self._known.pop(presented.digest(), None)

    def revoke(self, at: float, api_key_id: str, user_id: str, organization_id: str) -> None:
        """Drop every matching caller, whenever it was established: to ask once too often costs little."""
        del at
        self._revoked.append(_Revoked(api_key_id, user_id, organization_id))
        self._heard += 1

    def stand(self) -> None:
        """The watch over revocations begins (again): what was said before may have been revoked unheard."""
        self._watch += 1
        self._known.clear()

    async def _ask(self, key: bytes, presented: Presented, origin: Metadata) -> Established:
        """What is revoked while auth answers is in `heard`: such an answer serves those who wait and nobody after."""
        watch, heard = self._watch, self._heard
        try:
            answer = await self._authenticate(presented, origin)
        except CredentialMissing:
            _UNKNOWN.inc()
            _put(self._unknown, key, time.monotonic() + _UNKNOWN_KEPT_SECONDS)
            raise
        finally:
            del self._asking[key]
        _MISS.inc()
        established = _established(answer, watch, heard)
        _put(self._known, key, established)
        return established

    def _holds(self, known: Established) -> bool:
        """Tell whether nothing that was heard since the question was put speaks against the answer."""
        if known.watch != self._watch:
            return False
        unseen = self._heard - known.heard
        if unseen:
            if unseen > len(self._revoked):
                return False
            if any(r.matches(known.caller) for r in islice(reversed(self._revoked), unseen)):
                return False
            known.heard = self._heard
        return True

    async def _authenticate(
        self, presented: Presented, origin: Metadata
    ) -> pb.AuthenticateResponse:
        request = pb.AuthenticateRequest(
            credential=presented.credential,
            path_organization_id=presented.path_organization,
            header_organization_id=presented.header_organization,
        )
        try:
            own = self._identity.metadata()
            return await self._stub.Authenticate(request, metadata=(*own, *origin))
        except grpc.aio.AioRpcError as failure:
            raise _refusal(failure) from failure


def _refusal(failure: grpc.aio.AioRpcError) -> Refusal:
    """Translate auth's refusals; whatever else goes wrong there is no verdict on the credential."""
    reason = error_info(failure).reason
    if reason == CredentialMissing.reason:
        return CredentialMissing("a valid credential is required")
    if reason == OrganizationForbidden.reason:
        return OrganizationForbidden(failure.details() or "the caller is not in this organization")
    log.warning("auth gives no verdict: %s %s", failure.code().name, reason)
    return AuthUnavailable("the credential cannot be checked now; try again")


def _established(answer: pb.AuthenticateResponse, watch: int, heard: int) -> Established:
    left = answer.expire_time.seconds + answer.expire_time.nanos / 1e9 - time.time()
    kept = min(_KEPT_SECONDS, left - _MARGIN_SECONDS)
    caller = caller_of(answer.caller)
    return Established(
        caller=caller,
        metadata=(METADATA_KEY, answer.token),
        api_key=answer.api_key if answer.HasField("api_key") else None,
        expires=time.monotonic() + kept,
        watch=watch,
        heard=heard,
        subject=subject_of(caller),
        own_limits=own_from_proto(answer.rate_limits) if answer.HasField("rate_limits") else None,
    )


_KINDS = {
    access_pb2.CREDENTIAL_KIND_API_KEY: "api_key",
    access_pb2.CREDENTIAL_KIND_OIDC: "oidc",
    access_pb2.CREDENTIAL_KIND_SERVICE: "service",
}
_ROLES = {
    access_pb2.ORGANIZATION_ROLE_MEMBER: "member",
    access_pb2.ORGANIZATION_ROLE_OWNER: "owner",
}


def caller_of(said: authentication_pb2.Caller) -> Caller:
    """Return what auth said, in the words in which access is decided."""
    return Caller(
        credential=_KINDS.get(said.credential, ""),
        user_id=said.user_id,
        email=said.email,
        email_verified=said.email_verified,
        organization_id=said.organization_id,
        organization_role=_ROLES.get(said.organization_role, ""),
        permissions=frozenset(said.permissions),
        system_admin=said.system_role == access_pb2.SYSTEM_ROLE_ADMIN,
        api_key_prefix=said.api_key_prefix,
        api_key_suffix=said.api_key_suffix,
        api_key_id=said.api_key_id,
        account_key=said.account_key,
        service=said.service,
    )


def _put(kept: OrderedDict[bytes, _T], key: bytes, value: _T) -> None:
    kept[key] = value
    if len(kept) > _REMEMBERED:
        kept.popitem(last=False)
