"""Short-lived credentials by AssumeRole, each narrowed to the prefix of one organization."""

import asyncio
import json
import logging
import re
import ssl
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlencode, urlsplit
from uuid import UUID

from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.contexts.signing import signed_headers
from services.snapshots.domain.uploads import ObjectStorageAway, UploadAccess

log = logging.getLogger(__name__)
_SECONDS = 10.0
_LARGEST_ANSWER = 64 << 10
_WRITE_AND_READ = (
    "s3:PutObject",
    # A HEAD is a read: by it the clients find out that a context is there already.
    "s3:GetObject",
    "s3:AbortMultipartUpload",
    "s3:ListMultipartUploadParts",
)


class RoleUploads:
    """Assumes the configured role anew for each issue."""

    def __init__(self, settings: ContextsSettings) -> None:
        self._settings = settings
        self._at = urlsplit(settings.sts_endpoint or settings.endpoint)
        self._tls = ssl.create_default_context(cafile=settings.ca_file)

    async def issue(self, organization_id: UUID) -> UploadAccess:
        try:
            answer = await asyncio.to_thread(self._assume, organization_id)
        except (OSError, HTTPException) as away:
            log.warning("no credentials from the storage: %s", type(away).__name__)
            raise ObjectStorageAway("the storage for build contexts does not answer") from away
        settings = self._settings
        return UploadAccess(
            access_key=_said("AccessKeyId", answer),
            secret=_said("SecretAccessKey", answer),
            session_token=_said("SessionToken", answer),
            storage_url=settings.public_endpoint or settings.endpoint,
            bucket=settings.bucket,
            region=settings.region,
            expires=_moment(_said("Expiration", answer)),
        )

    def _assume(self, organization_id: UUID) -> str:
        settings = self._settings
        form = {
            "Action": "AssumeRole",
            "Version": "2011-06-15",
            "RoleSessionName": str(organization_id),
            "DurationSeconds": str(settings.credential_seconds),
            "Policy": policy(settings.bucket, organization_id),
            **({"RoleArn": settings.role_arn} if settings.role_arn else {}),
        }
        body = urlencode(form).encode()
        headers = signed_headers(
            host=self._at.netloc,
            body=body,
            access_key=settings.access_key,
            secret=settings.secret_key.get_secret_value(),
            region=settings.region,
            now=datetime.now(UTC),
        )
        connection = _connection(self._at, self._tls)
        try:
            connection.request("POST", "/", body=body, headers=dict(headers))
            response = connection.getresponse()
            answer = response.read(_LARGEST_ANSWER).decode("utf-8", "replace")
        finally:
            connection.close()
        if response.status != 200:
            code = re.search(r"<Code>(\w{1,64})</Code>", answer)
            log.error(
                "the storage issues no credentials: %s %s", response.status, code[1] if code else ""
            )
            raise ObjectStorageAway("the storage for build contexts issues no credentials")
        return answer


def policy(bucket: str, organization_id: UUID) -> str:
    """Return what an organization may do: as little as its clients need, below its own prefix."""
    place = f"arn:aws:s3:::{bucket}"
    own = str(organization_id)
    statements = [
        {"Effect": "Allow", "Action": _WRITE_AND_READ, "Resource": f"{place}/{own}/*"},
        {
            "Effect": "Allow",
            "Action": "s3:ListBucket",
            "Resource": place,
            # Ids are all of one length: none is the beginning of another.
            "Condition": {"StringLike": {"s3:prefix": [own, f"{own}/*"]}},
        },
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))


def _connection(at: SplitResult, tls: ssl.SSLContext) -> HTTPConnection:
    assert at.hostname is not None
    if at.scheme == "https":
        return HTTPSConnection(at.hostname, at.port, timeout=_SECONDS, context=tls)
    return HTTPConnection(at.hostname, at.port, timeout=_SECONDS)


def _said(name: str, answer: str) -> str:
    """Return the one value of that name; the answer is a flat list of them, and no document of strangers."""
    found = re.search(rf"<{name}>([^<>&]+)</{name}>", answer)
    if found is None:
        log.error("the storage's answer lacks %s", name)
        raise ObjectStorageAway("the storage for build contexts issues no credentials")
    return found[1].strip()


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError:
        log.error("the storage's answer names no moment at which credentials end")
        raise ObjectStorageAway("the storage for build contexts issues no credentials") from None
