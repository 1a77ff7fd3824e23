"""Generated secrets, and the ones that are refused."""

import json
import stat
from pathlib import Path

import pytest

from chassis.sealing import KeyRing
from deploy.local.failures import Failure
from deploy.local.secret_files import (
    ENCRYPTION_KEYS,
    database_secrets,
    encryption_keys,
    refuse_placeholders,
    scram_verifier,
    service_credentials,
)
from deploy.local.state import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "home")
    home.prepare()
    return home


@pytest.mark.parametrize("context", ENCRYPTION_KEYS)
def test_an_encryption_key_is_made_once_and_left_to_its_context(home: Home, context: str) -> None:
    encryption_keys(home)
    path = home.path / ENCRYPTION_KEYS[context]
    ring = KeyRing(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(ring.keys().secrets) == {ring.keys().active}
    ring.replace(ring.keys().renewed())
    encryption_keys(home)
    assert len(KeyRing(path).keys().secrets) == 2


def test_passwords_are_made_once_and_kept(home: Home) -> None:
    first = database_secrets(home)
    assert database_secrets(home) == first
    assert len({secret.password for secret in first.values()}) == 4
    assert all(len(secret.password) >= 40 for secret in first.values())


def test_files_are_for_the_owner_only(home: Home) -> None:
    database_secrets(home)
    path = service_credentials(home, {})
    modes = {stat.S_IMODE(p.stat().st_mode) for p in (path, home.secrets / "databases.json")}
    assert modes == {0o600}
    assert stat.S_IMODE(home.path.stat().st_mode) == 0o700


def test_a_folder_that_was_open_is_closed(home: Home) -> None:
    home.secrets.chmod(0o755)
    home.prepare()
    assert stat.S_IMODE(home.secrets.stat().st_mode) == 0o700


def test_the_operators_health_key_replaces_the_generated_one(home: Home) -> None:
    made = json.loads(service_credentials(home, {}).read_text())
    given = json.loads(service_credentials(home, {"HEALTH_CHECK_API_KEY": "k" * 32}).read_text())
    assert given == {**made, "health-check": "k" * 32}


def test_the_verifier_depends_on_password_and_salt_only() -> None:
    salt = bytes(range(16))
    again = scram_verifier("pencil", salt)
    assert again.startswith("SCRAM-SHA-256$4096:AAECAwQFBgcICQoLDA0ODw==$")
    assert again == scram_verifier("pencil", salt) != scram_verifier("pencils", salt)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HEALTH_CHECK_API_KEY", "changeme"),
        ("HEALTH_CHECK_API_KEY", " Secret "),
        ("OIDC_CLIENT_SECRET", "supersecretapikey"),
        ("ORGS_DATABASE_URL", "postgresql://orgs:postgres@db/orgs"),
        ("AUTH_DATABASE_URL", "postgresql://auth:p%61ssword@db/auth"),
    ],
)
def test_known_placeholders_are_refused_without_being_repeated(name: str, value: str) -> None:
    with pytest.raises(Failure, match=name) as refused:
        refuse_placeholders({name: value})
    assert value not in str(refused.value)


def test_own_secrets_are_accepted() -> None:
    refuse_placeholders({"HEALTH_CHECK_API_KEY": "0b5e", "AUTH_DATABASE_URL": "postgresql://a@/b"})


def test_a_broken_record_is_named(home: Home) -> None:
    (home.path / "postgres.json").write_text("{")
    with pytest.raises(Failure, match=r"postgres\.json"):
        home.read("postgres.json")
