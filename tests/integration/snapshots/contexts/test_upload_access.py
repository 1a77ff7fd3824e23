"""IssueUploadAccess over a real socket, before a real storage, a wrong one and none."""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest

from ratoon.orgs.v1 import organization_pb2
from ratoon.snapshots.v1 import context_pb2
from ratoon.snapshots.v1 import context_service_pb2 as pb
from services.snapshots.contexts.factory import uploads_from
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain.uploads import Uploads
from tests.conftest import MakeDatabase
from tests.identities import Keyring
from tests.integration.snapshots.orgs import limits
from tests.integration.snapshots.world import Member, World, a_world, refused

AWAY = grpc.StatusCode.UNAVAILABLE


@pytest.fixture(scope="module")
async def url(make_database: MakeDatabase) -> str:
    return await make_database("services.snapshots")


@asynccontextmanager
async def _world(url: str, keyring: Keyring, uploads: Uploads | None) -> AsyncIterator[World]:
    with tempfile.TemporaryDirectory(prefix="rtn-") as folder:
        async with a_world(url, keyring, Path(folder), uploads=uploads) as world:
            yield world


async def _issue(me: Member) -> context_pb2.UploadAccess:
    request = pb.IssueUploadAccessRequest(organization_id=me.organization)
    return (await me.world.contexts.IssueUploadAccess(request, metadata=me.metadata)).access


async def test_credentials_are_issued(
    url: str, keyring: Keyring, settings: ContextsSettings
) -> None:
    async with _world(url, keyring, uploads_from(settings)) as world:
        first, second = await _issue(world.member()), await _issue(world.member())
    assert (first.storage_url, first.bucket) == (settings.endpoint, settings.bucket)
    assert first.region == settings.region
    assert all((first.access_key, first.secret, first.session_token))
    assert len({first.secret, second.secret}) == len({first.session_token, second.session_token})
    assert first.secret != second.secret
    assert 3_500 < first.expire_time.seconds - time.time() <= 3_600


async def test_uploaders_may_be_told_another_address(
    url: str, keyring: Keyring, settings: ContextsSettings
) -> None:
    told = settings.model_copy(update={"public_endpoint": "https://s3.example"})
    async with _world(url, keyring, uploads_from(told)) as world:
        assert (await _issue(world.member())).storage_url == "https://s3.example"


async def test_a_suspended_organization_uploads_nothing(
    url: str, keyring: Keyring, settings: ContextsSettings
) -> None:
    async with _world(url, keyring, uploads_from(settings)) as world:
        me, other = world.member(), world.member()
        answer = limits()
        answer.suspension.CopyFrom(organization_pb2.Suspension(reason="unpaid"))
        world.orgs.answers[me.organization] = answer
        world.orgs.deleted.add(other.organization)
        async with refused("ORGANIZATION_SUSPENDED", grpc.StatusCode.PERMISSION_DENIED):
            await _issue(me)
        async with refused("ORGANIZATION_FORBIDDEN", grpc.StatusCode.PERMISSION_DENIED):
            await _issue(other)


async def test_without_a_storage_it_says_so(url: str, keyring: Keyring) -> None:
    async with _world(url, keyring, None) as world, refused("OBJECT_STORAGE_NOT_CONFIGURED", AWAY):
        await _issue(world.member())


async def test_a_storage_that_does_not_answer_or_refuses_is_away(
    url: str, keyring: Keyring, settings: ContextsSettings
) -> None:
    secret = type(settings.secret_key)
    for wrong in (
        {"endpoint": "https://127.0.0.1:9"},
        # It is there, but nobody vouches for it.
        {"ca_file": None},
        {"secret_key": secret("wrong")},
        {"role_arn": "arn:aws:iam::role/never"},
    ):
        uploads = uploads_from(settings.model_copy(update=wrong))
        world = _world(url, keyring, uploads)
        async with world as served, refused("OBJECT_STORAGE_UNAVAILABLE", AWAY):
            await _issue(served.member())
