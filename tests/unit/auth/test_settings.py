"""Settings under their published names."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from services.auth.settings import Settings

NEEDED = {
    "AUTH_DATABASE_URL": "postgresql://auth:hidden@/auth",
    "AUTH_LISTEN": "unix:/tmp/a",
    "AUTH_IDENTITY_FILE": "/tmp/i",
    "AUTH_TRUST_FILE": "/tmp/t",
    "AUTH_ORGS_TARGET": "unix:/tmp/o",
}
GOOD = "Zq3vT8wLx1Rk9mBn5cYd7hGf2jUp4sAe"


def _settings(monkeypatch: pytest.MonkeyPatch, **more: Any) -> Settings:
    for name, value in {**NEEDED, **more}.items():
        monkeypatch.setenv(name, str(value))
    return Settings()  # type: ignore[call-arg]  # read from the environment


def test_without_an_issuer_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(monkeypatch)
    assert not settings.has_issuer
    assert "hidden" not in repr(settings)
    assert settings.machines().machine(GOOD) is None


@pytest.mark.parametrize("prefix", ["OIDC_", "OID_", "AUTH_OIDC_"])
def test_an_issuer_is_named_by_all_three(monkeypatch: pytest.MonkeyPatch, prefix: str) -> None:
    two = {f"{prefix}ISSUER_BASE_URL": "https://i", f"{prefix}CLIENT_ID": "c"}
    assert not _settings(monkeypatch, **two).has_issuer
    settings = _settings(monkeypatch, **two, **{f"{prefix}AUDIENCE": "a"})
    assert settings.has_issuer
    assert (settings.oidc_issuer_base_url, settings.oidc_audience) == ("https://i", "a")


def test_clocks_may_differ_by_a_minute_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _settings(monkeypatch).oidc_leeway_seconds == 0
    assert _settings(monkeypatch, AUTH_OIDC_LEEWAY_SECONDS=60).oidc_leeway_seconds == 60
    for wrong in ("61", "-1", "nan"):
        with pytest.raises(ValidationError):
            _settings(monkeypatch, AUTH_OIDC_LEEWAY_SECONDS=wrong)


def test_what_is_needed_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _settings(monkeypatch)
    assert settings.listen == "unix:/tmp/a"
    monkeypatch.delenv("AUTH_ORGS_TARGET")
    with pytest.raises(ValidationError) as refused:
        Settings()  # type: ignore[call-arg]  # read from the environment
    assert "orgs_target" in str(refused.value)
    assert "hidden" not in str(refused.value)


def test_machines_are_read_from_their_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({"health-check": GOOD}))
    settings = _settings(monkeypatch, AUTH_SERVICE_CREDENTIALS_FILE=file)
    assert settings.machines().machine(GOOD) == "health-check"
    file.write_text(json.dumps({"health-check": "changeme"}))
    with pytest.raises(ValueError, match="placeholder"):
        settings.machines()
