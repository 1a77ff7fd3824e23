"""What an operator may say of a storage."""

import pytest
from pydantic import ValidationError

from services.snapshots.contexts.settings import ContextsSettings

P = "SNAPSHOTS_CONTEXTS_"


@pytest.mark.parametrize("text", ["", "https://s3.example", "https://[::1]:9000", "http://h:1"])
def test_an_endpoint_is_a_place(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(f"{P}ENDPOINT", text)
    assert ContextsSettings().endpoint == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ENDPOINT", "s3.example"),
        ("ENDPOINT", "https://user:secret@s3.example"),
        ("PUBLIC_ENDPOINT", "https://s3.example/bucket"),
        ("STS_ENDPOINT", "ftp://s3.example"),
        ("CREDENTIAL_SECONDS", "899"),
        ("CREDENTIAL_SECONDS", "43201"),
        ("KEEP_DAYS", "0"),
        ("MAX_BYTES", "0"),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"{P}{name}", text)
    with pytest.raises(ValidationError):
        ContextsSettings()


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{P}SECRET_KEY", "hush")
    assert "hush" not in repr(ContextsSettings())
