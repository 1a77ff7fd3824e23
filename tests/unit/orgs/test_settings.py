"""What an operator may set, and what is said about mistakes."""

from pathlib import Path

import pytest

from chassis.sealing import Keys
from services.orgs.__main__ import read_settings
from services.orgs.domain import Limits, RegionTotals
from services.orgs.domain.invitations import Delivery
from services.orgs.settings import DatabaseSettings, Settings

_NEEDED = {
    "ORGS_DATABASE_URL": "postgresql://orgs:hush@/orgs",
    "ORGS_LISTEN": "unix:/run/orgs",
    "ORGS_IDENTITY_FILE": "/run/identity.pem",
    "ORGS_TRUST_FILE": "/run/trust.json",
    "ORGS_AUTH_TARGET": "unix:/run/auth",
    "ORGS_SNAPSHOTS_TARGET": "unix:/run/snapshots",
    "ORGS_ENCRYPTION_KEYS": Keys("", {}).renewed().dump(),
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in _NEEDED.items():
        monkeypatch.setenv(name, value)


def test_the_defaults_are_the_published_ones() -> None:
    settings = read_settings(Settings)
    defaults = settings.defaults()
    assert (settings.region_id, settings.region_name) == ("us", "us")
    assert not settings.region_enforce_quotas
    assert defaults.limits == Limits(4, 8, 10, 30, 20, 100)
    assert defaults.region_totals == RegionTotals(10, 10, 30)
    assert defaults.verified_email_required
    assert not defaults.limited_network_egress


def test_the_published_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    quotas = "TOTAL_CPU_QUOTA TOTAL_MEMORY_QUOTA TOTAL_DISK_QUOTA MAX_CPU_PER_SANDBOX MAX_MEMORY_PER_SANDBOX"
    quotas += " MAX_DISK_PER_SANDBOX SNAPSHOT_QUOTA MAX_SNAPSHOT_SIZE VOLUME_QUOTA"
    for number, quota in enumerate(quotas.split(), start=1001):
        monkeypatch.setenv(f"DEFAULT_ORG_QUOTA_{quota}", str(number))
    monkeypatch.setenv("DEFAULT_REGION_ID", "eu")
    monkeypatch.setenv("DEFAULT_REGION_NAME", "Europe")
    monkeypatch.setenv("DEFAULT_REGION_ENFORCE_QUOTAS", "true")
    monkeypatch.setenv("SKIP_USER_EMAIL_VERIFICATION", "true")
    monkeypatch.setenv("ORGANIZATION_SANDBOX_DEFAULT_LIMITED_NETWORK_EGRESS", "true")
    settings = read_settings(Settings)
    defaults = settings.defaults()
    assert defaults.region_totals == RegionTotals(1001, 1002, 1003)
    assert defaults.limits == Limits(1004, 1005, 1006, 1007, 1008, 1009)
    assert (defaults.region_id, settings.region_name) == ("eu", "Europe")
    assert settings.region_enforce_quotas
    assert defaults.limited_network_egress
    assert not defaults.verified_email_required


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DEFAULT_ORG_QUOTA_SNAPSHOT_QUOTA", "-1"),
        ("DEFAULT_ORG_QUOTA_TOTAL_CPU_QUOTA", "many"),
        ("DEFAULT_ORG_QUOTA_MAX_DISK_PER_SANDBOX", "1.5"),
        ("DEFAULT_ORG_QUOTA_VOLUME_QUOTA", "2147483648"),
        ("DEFAULT_REGION_ID", "a b"),
        ("DEFAULT_REGION_NAME", "<b>us"),
        ("DEFAULT_REGION_ENFORCE_QUOTAS", "perhaps"),
        ("SKIP_USER_EMAIL_VERIFICATION", "-1"),
        ("SMTP_PORT", "0"),
        ("SMTP_SECURE", "perhaps"),
        ("DASHBOARD_URL", "dash.example.org"),
        ("DASHBOARD_URL", "https://a b"),
    ],
)
def test_a_mistake_is_named_and_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        read_settings(Settings)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert name in said
    assert "hush" not in said


def test_what_is_missing_is_named_as_it_is_set(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("ORGS_AUTH_TARGET")
    with pytest.raises(SystemExit):
        read_settings(Settings)
    assert capsys.readouterr().err == "ORGS_AUTH_TARGET: Field required\n"


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEFAULT_REGION_ID", "")
    assert read_settings(Settings).region_id == "us"


def test_a_migration_needs_the_database_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in _NEEDED:
        monkeypatch.delenv(name)
    monkeypatch.setenv("ORGS_DATABASE_URL", "postgresql://x")
    assert read_settings(DatabaseSettings).database_url.get_secret_value() == "postgresql://x"


def test_without_a_mail_server_nothing_is_mailed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_EMAIL_FROM", "nonsense")
    settings = read_settings(Settings)
    assert settings.relay() is None
    assert settings.delivery() == Delivery("http://localhost:3986", by_mail=False)


def test_a_mail_server_by_the_published_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMTP_HOST", "mail.example.org")
    monkeypatch.setenv("SMTP_EMAIL_FROM", "Ratoon <no-reply@example.org>")
    monkeypatch.setenv("DASHBOARD_URL", "https://dash.example.org/")
    settings = read_settings(Settings)
    assert settings.delivery() == Delivery("https://dash.example.org", by_mail=True)
    relay = settings.relay()
    assert relay is not None
    assert (relay.host, relay.port, relay.secure) == ("mail.example.org", 587, False)
    assert (relay.user, relay.password) == ("", "")
    told = {"PORT": "2525", "USER": "u", "PASSWORD": "hush", "SECURE": "true"}
    for name, value in told.items():
        monkeypatch.setenv(f"SMTP_{name}", value)
    relay = read_settings(Settings).relay()
    assert relay is not None
    assert (relay.port, relay.user, relay.password, relay.secure) == (2525, "u", "hush", True)
    assert "hush" not in repr(relay)
    monkeypatch.delenv("SMTP_PORT")
    relay = read_settings(Settings).relay()
    assert relay is not None
    assert relay.port == 465


@pytest.mark.parametrize("sender", ["", "nobody", "a@b.c, d@e.f", "a@b.c\r\nBcc: d@e.f", "@b.c"])
def test_a_mail_server_needs_an_address_to_send_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], sender: str
) -> None:
    monkeypatch.setenv("SMTP_HOST", "mail.example.org")
    monkeypatch.setenv("SMTP_EMAIL_FROM", sender)
    with pytest.raises(SystemExit):
        read_settings(Settings)
    assert "SMTP_EMAIL_FROM: " in capsys.readouterr().err


def test_keys_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = Keys("", {}).renewed()
    (tmp_path / "keys.json").write_text(keys.dump())
    monkeypatch.delenv("ORGS_ENCRYPTION_KEYS")
    monkeypatch.setenv("ORGS_ENCRYPTION_KEYS_FILE", str(tmp_path / "keys.json"))
    assert read_settings(Settings).ring().keys() == keys


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ORGS_ENCRYPTION_KEYS": ""}, "ORGS_ENCRYPTION_KEYS: "),
        ({"ORGS_ENCRYPTION_KEYS": "changeme-hush"}, "ORGS_ENCRYPTION_KEYS: "),
        (
            {"ORGS_ENCRYPTION_KEYS": "", "ORGS_ENCRYPTION_KEYS_FILE": "/nowhere/keys.json"},
            "ORGS_ENCRYPTION_KEYS_FILE: ",
        ),
        (
            {"ORGS_ENCRYPTION_KEYS": "", "ORGS_ENCRYPTION_KEYS_FILE": "/dev/null"},
            "ORGS_ENCRYPTION_KEYS_FILE: ",
        ),
    ],
)
def test_without_good_keys_nothing_starts(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, str],
    named: str,
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        read_settings(Settings)
    said = capsys.readouterr().err
    assert said.startswith(named)
    assert said.count("\n") == 1
    assert "hush" not in said


def test_keys_in_both_places_are_a_mistake(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "keys.json").write_text(Keys("", {}).renewed().dump())
    monkeypatch.setenv("ORGS_ENCRYPTION_KEYS_FILE", str(tmp_path / "keys.json"))
    with pytest.raises(SystemExit):
        read_settings(Settings)
    assert "either here or by ORGS_ENCRYPTION_KEYS_FILE" in capsys.readouterr().err
