"""The shape of compose.yaml: every service there, every secret a file, nothing with a default password."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not among the locked requirements

from deploy.container import prepare

COMPOSE = Path(__file__).parents[3] / "deploy" / "compose.yaml"
ROOMS = {
    "auth": "auth",
    "orgs": "orgs",
    "snapshots": "snapshots",
    "snapshots-worker": "snapshots",
    "gateway": "gateway",
    "operator": "operator",
}
MIGRATIONS = {f"{context}-migrate": context for context in ("auth", "orgs", "snapshots")}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def test_every_process_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {"postgres", "edge", *ROOMS, *MIGRATIONS}


def test_every_room_is_built_from_the_one_containerfile(compose: dict[str, Any]) -> None:
    for name, room in {**ROOMS, **MIGRATIONS}.items():
        build = compose["services"][name]["build"]
        assert build["args"] == {"ROOM": room}
        assert (COMPOSE.parent / build["context"] / build["dockerfile"]).resolve().is_file()


def test_migrations_run_once_and_come_first(compose: dict[str, Any]) -> None:
    for name, context in MIGRATIONS.items():
        service = compose["services"][name]
        assert (service["command"], service["restart"]) == (["migrate"], "no")
        after = compose["services"][context]["depends_on"]
        assert after[name] == {"condition": "service_completed_successfully"}


def test_nothing_runs_as_root_or_with_rights_it_does_not_need(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert service["user"].startswith("${RATOON_UID:?"), name
        if name != "postgres":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]


def test_only_the_edge_is_published_and_on_the_loopback(compose: dict[str, Any]) -> None:
    published = {
        name: service["ports"]
        for name, service in compose["services"].items()
        if "ports" in service
    }
    assert published == {"edge": ["127.0.0.1:${RATOON_PORT:-3986}:8080"]}
    assert compose["networks"]["inside"]["internal"] is True


def test_each_service_is_given_its_own_secrets_only(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        given = {s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])}
        assert given <= set(compose["secrets"])
        room = ROOMS.get(name, MIGRATIONS.get(name, name))
        foreign = {s for s in given if s.endswith("-database-url") or s.startswith("identity-")}
        assert foreign <= {f"{room}-database-url", f"identity-{room}"}, name
        assert ("service-credentials" in given) == (room == "auth")


def test_the_file_holds_no_secret(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|DATABASE_URL|CREDENTIALS|IDENTITY", name):
                assert value.startswith("/run/secrets/"), name


def test_prepare_makes_every_secret_once(tmp_path: Path, compose: dict[str, Any]) -> None:
    folder = tmp_path / "compose-state"
    prepare.prepare(folder)
    files = {tmp_path / secret["file"] for secret in compose["secrets"].values()}
    contents = {path: path.read_text() for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert re.fullmatch(r"RATOON_UID=[1-9]\d*\nRATOON_GID=\d+\n", (tmp_path / ".env").read_text())
    prepare.prepare(folder)
    assert {path: path.read_text() for path in files} == contents
