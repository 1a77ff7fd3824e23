"""What a storage says of the credentials that it issues, and what it may get wrong."""

from uuid import UUID

import pytest

from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.contexts.tokens import RoleUploads
from services.snapshots.domain.uploads import ObjectStorageAway

ANSWER = (
    "<AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
    "<SessionToken>t</SessionToken><Expiration>{}</Expiration>"
)


def _uploads(monkeypatch: pytest.MonkeyPatch, answer: str) -> RoleUploads:
    monkeypatch.setattr(RoleUploads, "_assume", lambda *_: answer)
    return RoleUploads(ContextsSettings(endpoint="http://storage:8333"))


async def test_the_moment_at_which_they_end_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    uploads = _uploads(monkeypatch, ANSWER.format("2026-11-26T01:02:03Z"))
    issued = await uploads.issue(UUID(int=1))
    assert issued.expires.isoformat() == "2026-11-26T01:02:03+00:00"


@pytest.mark.parametrize("moment", ["soon", "", "2026-13-01T00:00:00Z"])
async def test_an_answer_that_nobody_can_read_is_the_storages_failure(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    uploads = _uploads(monkeypatch, ANSWER.format(moment))
    with pytest.raises(ObjectStorageAway):
        await uploads.issue(UUID(int=1))
