"""The shape of compose.yaml: every service there, every secret a file, nothing with a default password."""

import re
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not among the locked requirements
from pydantic import AliasChoices
from pydantic_settings import BaseSettings

from deploy.container import prepare
from gateway.settings import Settings as GatewaySettings
from services.auth.settings import Settings as AuthSettings
from services.orgs.settings import Settings as OrgsSettings
from services.snapshots.builder.settings import BuilderSettings
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.settings import Settings as SnapshotsSettings
from services.snapshots.worker.settings import WorkerSettings

COMPOSE = Path(__file__).parents[3] / "deploy" / "compose.yaml"
ROOMS = {
    "auth": "auth",
    "orgs": "orgs",
    "snapshots": "snapshots",
    "snapshots-worker": "snapshots",
    "snapshots-builder": "snapshots",
    "builder-check": "snapshots",
    "gateway": "gateway",
    "storage": "storage",
    "operator": "operator",
}
BUILDERS = {"snapshots-builder", "builder-check"}
OTHERS = {"postgres", "edge", "registry"}
# What the settings of no class say: read by the start of a container, or by programs that are not ours.
FOREIGN = re.compile(
    r"POSTGRES_|REGISTRY_AUTH_|STORAGE_KEYS_FILE|RATOON_HEALTH_BY_METRICS|GRPC_ENABLE_FORK_SUPPORT|SNAPSHOTS_NO_BUILDER_FILE"
)
SETTINGS: dict[str, list[type[BaseSettings]]] = {
    "auth": [AuthSettings],
    "orgs": [OrgsSettings],
    "snapshots": [SnapshotsSettings, WorkerSettings, BuilderSettings, ContextsSettings],
    "gateway": [GatewaySettings],
}
MIGRATIONS = {f"{context}-migrate": context for context in ("auth", "orgs", "snapshots")}


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return found


def test_every_process_is_there(compose: dict[str, Any]) -> None:
    assert set(compose["services"]) == {*OTHERS, *ROOMS, *MIGRATIONS}


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
        assert service["user"].startswith("0:" if name in BUILDERS else "${RATOON_UID:?"), name
        assert "privileged" not in service
        assert ("cap_add" in service) == (name in BUILDERS)
        if name != "postgres":
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert "no-new-privileges:true" in service["security_opt"]


def test_every_process_says_how_it_is(compose: dict[str, Any]) -> None:
    """Rooms by their image; what runs once need not."""
    for name in OTHERS:
        assert compose["services"][name]["healthcheck"]["test"][0] == "CMD"
    for name, service in compose["services"].items():
        runs = service["restart"] != "no"
        assert (service.get("healthcheck") == {"disable": True}) != runs, name


def test_images_of_others_are_pinned(compose: dict[str, Any]) -> None:
    images = [s["image"] for s in compose["services"].values() if "image" in s]
    images.append(compose["services"]["registry"]["build"]["args"]["BASE"])
    for image in images:
        assert re.fullmatch(r"\$\{RATOON_[A-Z]+_IMAGE:-[a-z0-9./]+:v?[0-9.]+\}", image), image


def test_every_variable_is_known_to_who_is_told_it(compose: dict[str, Any]) -> None:
    for name, room in {**ROOMS, **MIGRATIONS}.items():
        known = {v for settings in SETTINGS.get(room, []) for v in _variables(settings)}
        for variable in compose["services"][name].get("environment", {}):
            plain = variable.removesuffix("_FILE")
            assert FOREIGN.match(variable) or {variable, plain} & known, (name, variable)


def _variables(settings: type[BaseSettings]) -> set[str]:
    prefix = settings.model_config.get("env_prefix", "")
    found = set()
    for name, field in settings.model_fields.items():
        alias = field.validation_alias
        names = alias.choices if isinstance(alias, AliasChoices) else [alias or f"{prefix}{name}"]
        found |= {str(one).upper() for one in names}
    return found


def test_what_is_named_is_there(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert set(service.get("networks", [])) <= set(compose["networks"]), name
        assert set(service.get("depends_on", {})) <= set(compose["services"]), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            there = source in compose["volumes"] or (COMPOSE.parent / source).is_file()
            assert there, (name, source)


def test_steps_of_dockerfiles_reach_nothing_that_trusts_whoever_comes(
    compose: dict[str, Any],
) -> None:
    networks = {name: set(s.get("networks", [])) for name, s in compose["services"].items()}
    assert networks["snapshots-builder"] == {"builds", "outside"}
    beside = {name for name, among in networks.items() if "builds" in among}
    assert beside == {"snapshots-builder", "postgres", "orgs", "storage", "edge"}
    # The gateway believes everybody there about who the client is.
    assert {n for n, among in networks.items() if "inside" in among} == {
        *("auth", "orgs", "snapshots", "snapshots-worker", "gateway", "edge", "operator")
    }
    assert [n for n, s in compose["networks"].items() if not s.get("internal")] == ["outside"]


def test_only_the_edge_is_published_and_on_the_loopback(compose: dict[str, Any]) -> None:
    published = {
        name: service["ports"]
        for name, service in compose["services"].items()
        if "ports" in service
    }
    assert published == {
        "edge": [
            "127.0.0.1:${RATOON_PORT:-3986}:8080",
            "${RATOON_TLS_ADDRESS:-127.0.0.1}:3987:3987",
        ]
    }
    assert compose["networks"]["inside"]["internal"] is True


def test_each_service_is_given_its_own_secrets_only(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        given = {s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])}
        assert given <= set(compose["secrets"])
        room = ROOMS.get(name, MIGRATIONS.get(name, name))
        foreign = {s for s in given if s.endswith("-database-url") or s.startswith("identity-")}
        assert foreign <= {f"{room}-database-url", f"identity-{room}"}, name
        assert ("service-credentials" in given) == (name == "auth")
        assert ("registry-token-key" in given) == (name == "snapshots")
        assert ("storage-keys" in given) == (name == "storage")
        assert ("edge-key" in given) == (name == "edge")
        if name in MIGRATIONS:
            assert given == {f"{room}-database-url"}


def test_the_file_holds_no_secret(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for name, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|DATABASE_URL|CREDENTIALS_FILE|IDENTITY|KEYS?_FILE", name):
                assert value.startswith("/run/secrets/"), name


def test_prepare_makes_every_secret_once(tmp_path: Path, compose: dict[str, Any]) -> None:
    folder = tmp_path / "compose-state"
    prepare.prepare(folder)
    files = {tmp_path / secret["file"] for secret in compose["secrets"].values()}
    contents = {path: path.read_text() for path in files}
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    told = tmp_path / ".env"
    assert re.fullmatch(
        r"RATOON_UID=[1-9]\d*\nRATOON_GID=\d+\nCOMPOSE_PROFILES=builder,registry,storage\n",
        told.read_text(),
    )
    told.write_text(told.read_text().replace("builder,", "") + "RATOON_HOST=api.example\n")
    before = told.read_text()
    prepare.prepare(folder)
    assert {path: path.read_text() for path in files} == contents
    assert told.read_text() == before


def test_the_operators_storage_is_shown_the_operators_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAPSHOTS_CONTEXTS_ACCESS_KEY", "AKIA")
    monkeypatch.setenv("SNAPSHOTS_CONTEXTS_SECRET_KEY", "theirs")
    prepare.prepare(tmp_path / "compose-state")
    secrets = tmp_path / "compose-state" / "secrets"
    names = ("contexts-access-key", "contexts-secret-key")
    assert [(secrets / n).read_text() for n in names] == ["AKIA\n", "theirs\n"]
