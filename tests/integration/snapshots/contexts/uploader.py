"""Whoever holds credentials: with the library of the public clients, and with requests that it would never send."""

import hashlib
import hmac
import ssl
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from obstore.store import S3Store

from services.snapshots.domain.uploads import UploadAccess


def store_of(access: UploadAccess, ca: Path | None, bucket: str = "") -> S3Store:
    assert ca is not None
    return S3Store(
        bucket=bucket or access.bucket,
        endpoint=access.storage_url,
        region=access.region,
        access_key_id=access.access_key,
        secret_access_key=access.secret,
        session_token=access.session_token,
        client_options={"root_certificate": ca.read_bytes()},
        retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=10)},
    )


def ask(
    access: UploadAccess,
    ca: Path | None,
    method: str,
    path: str,
    query: str = "",
    body: bytes = b"",
    service: str = "s3",
    **headers: str,
) -> tuple[int, str]:
    """Send one signed request whose path is sent as it is written; return status and body."""
    at, now = urlsplit(access.storage_url), datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256(body).hexdigest()
    sent = {
        "host": at.netloc,
        "x-amz-content-sha256": digest,
        "x-amz-date": now,
        "x-amz-security-token": access.session_token,
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    names = ";".join(sorted(sent))
    lines = [f"{name}:{sent[name]}" for name in sorted(sent)]
    ordered = "&".join(sorted(query.split("&")))
    request = "\n".join([method, path, ordered, *lines, "", names, digest])
    scope = f"{now[:8]}/{access.region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = f"AWS4{access.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, text.encode(), "sha256").hexdigest()
    credential = f"{access.access_key}/{scope}, SignedHeaders={names}, Signature={signature}"
    sent["authorization"] = f"AWS4-HMAC-SHA256 Credential={credential}"
    context = ssl.create_default_context(cafile=ca)
    connection = HTTPSConnection(at.hostname or "", at.port, timeout=30, context=context)
    try:
        target = f"{path}?{query}" if query else path
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.putheader("content-length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()
