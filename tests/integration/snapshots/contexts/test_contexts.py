"""Contexts brought to builds: what was uploaded is unpacked and judged, what is old goes."""

import hashlib
import io
import tarfile
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from services.snapshots.contexts.contexts import S3Contexts, bucket_of
from services.snapshots.contexts.factory import contexts_from, uploads_from
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain.contexts import (
    ContextInvalid,
    ContextMissing,
    ContextsAway,
    NoContexts,
)
from services.snapshots.domain.uploads import NoUploads


def _tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w|") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


async def _uploaded(settings: ContextsSettings, digest: str, data: bytes) -> UUID:
    organization = uuid4()
    await bucket_of(settings).put_async(f"{organization}/{digest}/context.tar", data)
    return organization


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


async def test_a_context_is_unpacked_and_its_bytes_are_named(
    settings: ContextsSettings, folder: Path
) -> None:
    text = b"numpy\n" * 500_000
    archive = _tar("home/me/requirements.txt", text)
    digest = hashlib.md5(b"home/me/requirements.txt" + text).hexdigest()
    organization = await _uploaded(settings, digest, archive)
    sha256 = await contexts_from(settings).unpack(organization, digest, folder)
    assert sha256 == hashlib.sha256(archive).hexdigest()
    assert (folder / "home/me/requirements.txt").read_bytes() == text
    assert [p.name for p in folder.parent.iterdir()] == ["folder"]


async def test_a_context_of_another_organization_is_missing(
    settings: ContextsSettings, folder: Path
) -> None:
    digest = hashlib.sha256(archive := _tar("a", b"x")).hexdigest()
    await _uploaded(settings, digest, archive)
    for asked in (digest, hashlib.md5(b"never").hexdigest()):
        with pytest.raises(ContextMissing) as missing:
            await contexts_from(settings).unpack(uuid4(), asked, folder)
        assert missing.value.digest == asked


@pytest.mark.parametrize("digest", ["0" * 32, "0" * 64])
async def test_contents_under_a_digest_of_others_are_invalid(
    settings: ContextsSettings, folder: Path, digest: str
) -> None:
    organization = await _uploaded(settings, digest, _tar("a", b"x"))
    with pytest.raises(ContextInvalid) as invalid:
        await contexts_from(settings).unpack(organization, digest, folder)
    assert invalid.value.digest == digest


async def test_what_is_too_large_or_hostile_is_invalid(
    settings: ContextsSettings, folder: Path
) -> None:
    for data in (_tar("a", b"x" * 30_000), _tar("../a/../../b", b"x"), b"", b"no archive"):
        digest = hashlib.sha256(data).hexdigest()
        organization = await _uploaded(settings, digest, data)
        contexts = S3Contexts(bucket_of(settings), most_bytes=20_000, most_entries=10)
        with pytest.raises(ContextInvalid):
            await contexts.unpack(organization, digest, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("digest", ["", "../secrets", "a/b", "A" * 32, "a" * 40])
async def test_what_is_no_digest_is_not_even_looked_for(
    settings: ContextsSettings, folder: Path, digest: str
) -> None:
    nobody = settings.model_copy(update={"endpoint": "https://127.0.0.1:9"})
    with pytest.raises(ContextInvalid):
        await contexts_from(nobody).unpack(uuid4(), digest, folder)


async def test_a_storage_that_is_away_is_no_missing_context(
    settings: ContextsSettings, folder: Path
) -> None:
    wrong = settings.model_copy(update={"secret_key": type(settings.secret_key)("wrong")})
    with pytest.raises(ContextsAway):
        await contexts_from(wrong).unpack(uuid4(), "a" * 32, folder)


async def test_what_is_old_goes(settings: ContextsSettings, folder: Path) -> None:
    digest = hashlib.sha256(archive := _tar("a", b"x")).hexdigest()
    organization = await _uploaded(settings, digest, archive)
    contexts = S3Contexts(bucket_of(settings), most_bytes=20_000, most_entries=10)
    await contexts.expire(timedelta(days=1))
    await contexts.unpack(organization, digest, folder)
    # From the future, everything is old.
    assert await contexts.expire(timedelta(days=-1)) >= 1
    with pytest.raises(ContextMissing):
        await contexts.unpack(organization, digest, folder)


async def test_without_an_endpoint_there_is_nothing() -> None:
    nothing = ContextsSettings.model_construct(endpoint="")
    assert isinstance(contexts_from(nothing), NoContexts)
    assert isinstance(uploads_from(nothing), NoUploads)
