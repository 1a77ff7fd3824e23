"""One repository of a registry, read by one caller (OCI distribution specification, pulling)."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager

from services.snapshots.images import answers, challenge, manifests
from services.snapshots.images.auth import Authorizer, Credentials
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.http import Answer, Http
from services.snapshots.images.manifests import Descriptor, Fetched
from services.snapshots.images.reference import ImageReference
from services.snapshots.store.digests import digest_of

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")


class Repository:
    """Every method is one attempt; who calls decides about the next."""

    def __init__(
        self, http: Http, reference: ImageReference, credentials: Credentials | None
    ) -> None:
        self._http = http
        self._base = http.url(reference.endpoint, f"/v2/{reference.repository}")
        self._name = reference.name
        scope = f"repository:{reference.repository}:pull"
        self._authorizer = Authorizer(http, credentials, scope=scope)

    async def manifest(self, version: str) -> Fetched:
        """The manifest or index of a tag or digest; what a digest names is verified."""
        wanted = f"{self._name}, version {version}"
        headers = {"Accept": ", ".join(manifests.ACCEPTED)}
        async with self._get(f"/manifests/{version}", headers) as answer:
            if answer.status != 200:
                raise await answers.refusal(answer, wanted)
            data = await answer.read(manifests.LARGEST_MANIFEST)
        if data is None:
            reason = f"the manifest is larger than {manifests.LARGEST_MANIFEST} bytes"
            raise PullFailed(Code.IMAGE_INVALID, reason)
        named = version if ":" in version else answer.headers.get("Docker-Content-Digest", "")
        if named.startswith("sha256:") and named != digest_of(data):
            raise _mismatch("the manifest", f"its digest is {digest_of(data)}, not {named[:80]}")
        return manifests.identified(data, answer.content_type)

    async def config(self, descriptor: Descriptor) -> bytes:
        """A blob that is small enough for memory, verified."""
        data = bytearray()
        async for chunk in self.blob(descriptor, 0):
            data += chunk
        if digest_of(bytes(data)) != descriptor.digest:
            raise _mismatch("the config", f"its digest is not {descriptor.digest}")
        return bytes(data)

    async def blob(self, descriptor: Descriptor, offset: int) -> AsyncGenerator[bytes, None]:
        """A blob's bytes from `offset` on; exactly as many as its descriptor says, or a failure."""
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        async with self._get(f"/blobs/{descriptor.digest}", headers) as answer:
            if answer.status == 416:
                raise _mismatch(descriptor.digest, f"it ends before byte {offset}")
            if answer.status not in (200, 206):
                raise await answers.refusal(answer, f"blob {descriptor.digest}")
            position = _check_extent(answer, descriptor, offset)
            async for chunk in answer.chunks():
                # A registry that knows no ranges sends everything again.
                fresh = chunk[max(0, offset - position) :]
                position += len(chunk)
                if position > descriptor.size:
                    raise _mismatch(descriptor.digest, f"it has more than {descriptor.size} bytes")
                if fresh:
                    yield fresh
        if position < descriptor.size:
            raise _mismatch(descriptor.digest, f"it has {position} bytes, not {descriptor.size}")

    @asynccontextmanager
    async def _get(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[Answer]:
        """GET with whatever authorization the registry wants."""
        url = self._base + path
        sent = await self._authorizer.authorization()
        async with self._http.get(url, headers=headers, authorization=sent) as answer:
            if answer.status != 401 or not answer.from_origin:
                yield answer
                return
            asked = challenge.parse(answer.headers.getall("WWW-Authenticate", []))
        sent = await self._authorizer.answer(url, asked, sent)
        async with self._http.get(url, headers=headers, authorization=sent) as answer:
            yield answer


def _check_extent(answer: Answer, descriptor: Descriptor, offset: int) -> int:
    """Where the body starts; refuses at once what cannot have the right size in the end."""
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise PullFailed(Code.REGISTRY_PROTOCOL, f"{answer.host} re-encodes blobs")
    start = 0
    if answer.status == 206:
        found = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != offset:
            raise PullFailed(Code.REGISTRY_PROTOCOL, f"{answer.host} answers another range")
        start = offset
    length = answer.content_length
    if length is not None and start + length != descriptor.size:
        raise _mismatch(descriptor.digest, f"it has {start + length} bytes, not {descriptor.size}")
    return start


def _mismatch(what: str, why: str) -> PullFailed:
    return PullFailed(Code.DIGEST_MISMATCH, f"{what} is not what it should be: {why}")
