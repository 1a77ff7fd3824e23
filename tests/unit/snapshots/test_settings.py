"""What snapshots is told from outside, and what it refuses to start with."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from chassis.sealing import Keys
from deploy.local.operator import make_registry_key
from deploy.local.registry import CERTIFICATE, KEY
from services.snapshots.settings import KeySettings, Settings
from services.snapshots.worker.settings import WorkerSettings

KEYS = Keys("", {}).renewed().dump()
TOLD = {
    "DATABASE_URL": "postgresql://u:hush-hush@h/d",
    "LISTEN": "unix:/s",
    "IDENTITY_FILE": "/i",
    "TRUST_FILE": "/t",
    "AUTH_TARGET": "unix:/a",
    "ORGS_TARGET": "unix:/o",
    "STORE_PATH": "/store",
    "ENCRYPTION_KEYS": KEYS,
}


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in TOLD.items():
        monkeypatch.setenv(f"SNAPSHOTS_{name}", value)


def test_all_have_the_same_keys() -> None:
    for settings in (Settings, WorkerSettings, KeySettings):
        assert settings().ring().keys().dump() == KEYS  # type: ignore[call-arg]  # read from the environment


@pytest.mark.parametrize("keys", ["", "hush-hush-hush"])
@pytest.mark.parametrize("settings", [Settings, WorkerSettings, KeySettings])
def test_nothing_starts_without_keys_nor_shows_what_it_was_given(
    monkeypatch: pytest.MonkeyPatch, settings: type[KeySettings], keys: str
) -> None:
    monkeypatch.setenv("SNAPSHOTS_ENCRYPTION_KEYS", keys)
    with pytest.raises(ValidationError) as refused:
        settings()  # type: ignore[call-arg]  # read from the environment
    assert "hush" not in str(refused.value)
    if not keys:
        assert "SNAPSHOTS_ENCRYPTION_KEYS_FILE" in str(refused.value)


def test_hosts_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAPSHOTS_INSECURE_REGISTRIES", "a:1, b ,,c")
    assert Settings().insecure_hosts == {"a:1", "b", "c"}  # type: ignore[call-arg]  # as above


def test_a_registry_to_push_to_needs_a_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert Settings().access() is None  # type: ignore[call-arg]  # as above
    assert WorkerSettings().own_registry() is None  # type: ignore[call-arg]  # as above
    monkeypatch.setenv("SNAPSHOTS_PUSH_REGISTRY", "Push.example:5000")
    with pytest.raises(ValidationError, match="key file"):
        Settings()  # type: ignore[call-arg]  # as above
    make_registry_key(tmp_path)
    monkeypatch.setenv("SNAPSHOTS_PUSH_REGISTRY_KEY_FILE", str(tmp_path / KEY))
    monkeypatch.setenv("SNAPSHOTS_PUSH_REGISTRY_CERTIFICATE_FILE", str(tmp_path / CERTIFICATE))
    access = Settings().access()  # type: ignore[call-arg]  # as above
    own = WorkerSettings().own_registry()  # type: ignore[call-arg]  # as above
    assert access is not None
    assert own is not None
    # As images name it.
    assert access.host == own.host == "push.example:5000"
