"""What issued credentials open: the prefix of one organization, for a while, and nothing else."""

import base64
import hmac
import json
import os
import ssl
import time
from dataclasses import replace
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from obstore.exceptions import BaseError, PermissionDeniedError

from deploy.local.storage import Storage
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.contexts.tokens import RoleUploads
from services.snapshots.domain.uploads import UploadAccess
from tests.integration.snapshots.contexts.uploader import ask, store_of

HASH = "d41d8cd98f00b204e9800998ecf8427e"


class Somebody:
    """An organization with one context, and its credentials."""

    def __init__(self, settings: ContextsSettings, organization: UUID, access: UploadAccess):
        self.ca = settings.ca_file
        self.organization, self.access = organization, access
        self.key = f"{organization}/{HASH}/context.tar"
        self.store = store_of(access, self.ca)

    def ask(self, method: str, path: str, query: str = "", **more: str) -> tuple[int, str]:
        return ask(self.access, self.ca, method, path, query, **more)  # type: ignore[arg-type]  # headers


async def somebody(settings: ContextsSettings) -> Somebody:
    organization = uuid4()
    made = Somebody(settings, organization, await RoleUploads(settings).issue(organization))
    await made.store.put_async(made.key, str(organization).encode())
    return made


async def test_the_own_prefix_is_open(settings: ContextsSettings) -> None:
    me = await somebody(settings)
    await me.store.put_async(
        f"{me.organization}/large", iter([os.urandom(1 << 20)] * 12), chunk_size=5 << 20
    )
    await me.store.put_async(f"{me.organization}/tiny", iter([b"x"]), use_multipart=True)
    assert (await me.store.head_async(f"{me.organization}/large"))["size"] == 12 << 20
    assert (await (await me.store.get_async(me.key)).bytes_async()).to_bytes() == str(
        me.organization
    ).encode()
    with pytest.raises(FileNotFoundError):
        await me.store.head_async(f"{me.organization}/never")
    found = [o["path"] async for batch in me.store.list(str(me.organization)) for o in batch]
    assert sorted(found) == [me.key, f"{me.organization}/large", f"{me.organization}/tiny"]
    # As the command line asks: without the slash.
    status, said = me.ask("GET", f"/{me.access.bucket}", f"delimiter=%2F&prefix={me.organization}")
    assert (status, f"<Prefix>{me.organization}/</Prefix>" in said) == (200, True)


async def test_other_prefixes_and_buckets_are_closed(settings: ContextsSettings) -> None:
    me, other = await somebody(settings), await somebody(settings)
    store = me.store
    for attempt in (
        store.put_async(other.key, b"evil"),
        store.put_async(f"{other.organization}/new", iter([b"evil"]), use_multipart=True),
        store.put_async(f"{me.organization}x/new", b"evil"),
        store.put_async("new", b"evil"),
        store.head_async(other.key),
        store.head_async(f"{other.organization}/never"),
        store.get_async(other.key),
        store.copy_async(other.key, f"{me.organization}/stolen"),
        store_of(me.access, me.ca, bucket="elsewhere").put_async(me.key, b"evil"),
    ):
        with pytest.raises(PermissionDeniedError):
            await attempt
    for prefix in (None, str(other.organization), str(other.organization)[:8], ""):
        with pytest.raises(BaseError, match="AccessDenied"):
            await store.list(prefix).collect_async()
    for key in (me.key, other.key):
        with pytest.raises(BaseError, match="AccessDenied"):
            await store.delete_async(key)
    mine = (await (await other.store.get_async(other.key)).bytes_async()).to_bytes()
    assert mine == str(other.organization).encode()


@pytest.mark.parametrize(
    "way",
    [
        "/../",
        "/%2e%2e/",
        "/%2E%2E/",
        "//../",
        "/..%2f",
        "/%2e%2e%2f",
        "%2f..%2f",
        "/./../",
        "/..%5c",
    ],
)
async def test_no_path_leads_out(settings: ContextsSettings, way: str) -> None:
    me, other = await somebody(settings), await somebody(settings)
    path = f"/{me.access.bucket}/{me.organization}{way}"
    for method, key in (("GET", other.key), ("PUT", other.key), ("PUT", "new"), ("DELETE", "new")):
        assert me.ask(method, path + key)[0] in (400, 403, 404)
    source = f"/{me.access.bucket}/{me.organization}{way}{other.key}"
    status, _ = me.ask("PUT", f"/{me.access.bucket}/{me.key}", x_amz_copy_source=source)
    assert status in (400, 403, 404)
    mine = (await (await other.store.get_async(other.key)).bytes_async()).to_bytes()
    assert mine == str(other.organization).encode()
    prefix = quote(f"{me.organization}/../{other.organization}/", safe="")
    _, said = me.ask("GET", f"/{me.access.bucket}", f"list-type=2&prefix={prefix}")
    assert HASH not in said


async def test_nothing_but_objects_may_be_touched(settings: ContextsSettings) -> None:
    me = await somebody(settings)
    bucket = f"/{me.access.bucket}"
    refused = [
        ("PUT", "/mine", ""),
        ("DELETE", bucket, ""),
        *(("GET", bucket, f"{what}=") for what in ("policy", "acl", "lifecycle", "versions")),
        *(("GET", bucket, f"{what}=") for what in ("uploads", "location", "cors", "versioning")),
        *(("PUT", bucket, f"{what}=") for what in ("policy", "acl", "lifecycle", "cors")),
        *(("PUT", f"{bucket}/{me.key}", f"{what}=") for what in ("acl", "tagging", "retention")),
    ]
    for method, path, query in refused:
        status, said = me.ask(method, path, query)
        assert (status, "AccessDenied" in said) == (403, True), (method, path, query)
    assert "<Bucket>" not in me.ask("GET", "/")[1]


@pytest.mark.parametrize(
    "form",
    [
        "Action=AssumeRole&RoleArn=arn:aws:iam::role/contexts&RoleSessionName=more",
        "Action=AssumeRole&RoleSessionName=more",
        "Action=GetFederationToken&Name=more",
    ],
)
async def test_credentials_make_no_credentials(settings: ContextsSettings, form: str) -> None:
    me = await somebody(settings)
    kind = {"content_type": "application/x-www-form-urlencoded"}
    body = f"{form}&Version=2011-06-15".replace(":", "%3A").replace("/", "%2F").encode()
    told = {"body": body, "service": "sts", **kind}
    status, said = me.ask("POST", "/", **told)  # type: ignore[arg-type]  # more than headers
    assert (status, "AccessDenied" in said) == (403, True)


async def test_the_secret_and_the_token_must_fit(settings: ContextsSettings) -> None:
    me, other = await somebody(settings), await somebody(settings)
    for forged in (
        replace(me.access, secret=other.access.secret),
        replace(me.access, session_token=other.access.session_token),
        replace(me.access, session_token=me.access.session_token[:-4] + "AAAA"),
    ):
        with pytest.raises(PermissionDeniedError):
            await store_of(forged, me.ca).head_async(me.key)


async def test_what_is_expired_is_refused(storage: Storage, settings: ContextsSettings) -> None:
    """A token's end is moved by the storage's own key: so the only thing that differs is the time."""
    me = await somebody(settings)
    assert 3_500 < (me.access.expires.timestamp() - time.time()) <= 3_600
    for seconds, fine in ((60, True), (-1, False)):
        ending = replace(me.access, session_token=_ending(storage, me.access, seconds))
        store = store_of(ending, me.ca)
        if fine:
            assert (await store.head_async(me.key))["size"] == 36
        else:
            with pytest.raises(PermissionDeniedError):
                await store.head_async(me.key)


def _ending(storage: Storage, access: UploadAccess, seconds: int) -> str:
    kept = json.loads((storage.home.secrets / "storage.json").read_text())
    head, claims, _ = access.session_token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=="))
    said["exp"] = int(time.time()) + seconds
    text = f"{head}.{_encoded(json.dumps(said).encode())}"
    key = base64.b64decode(kept["signingKey"])
    return f"{text}.{_encoded(hmac.digest(key, text.encode(), 'sha256'))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


async def test_every_other_server_asks_for_a_certificate_that_nobody_has(storage: Storage) -> None:
    """Whoever reached one of them without could read and write everything."""
    anybody = ssl.create_default_context()
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    for name, port in storage.ports.items():
        if name in ("s3", "s3-plain"):
            continue
        for connection in (
            HTTPConnection("127.0.0.1", port, timeout=30),
            HTTPSConnection("127.0.0.1", port, timeout=30, context=anybody),
        ):
            try:
                connection.request("GET", "/")
                status = connection.getresponse().status
            except (OSError, HTTPException):
                continue
            finally:
                connection.close()
            # What it says to those who do not even begin with TLS.
            assert status == 400, name
