"""What is missing where nothing can be built."""

import asyncio
import os
from pathlib import Path

import pytest

from chassis.sealing import Keys
from services.snapshots.builder import possible
from services.snapshots.builder.process import build
from services.snapshots.builder.settings import BuilderSettings
from services.snapshots.contexts.settings import ContextsSettings


def test_switched_off_or_misspelt() -> None:
    assert possible.missing("off", trusted=True) == "builds are switched off"
    assert "'vm'" in possible.missing("vm", trusted=True)


def test_only_root_builds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert possible.missing("gvisor", trusted=True) == "the builder must run as root"


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: None if name == "runsc" else name)
    assert possible.missing("gvisor", trusted=False) == "these programs are not installed: runsc"


def test_trust_is_said_and_never_assumed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda name: name)
    why = possible.missing_by({"SNAPSHOTS_BUILD_ISOLATION": "chroot"})
    assert "SNAPSHOTS_TRUSTED_DOCKERFILES" in why


async def test_a_builder_ends_where_nothing_can_be_built(tmp_path: Path) -> None:
    told = {
        "database_url": "postgresql://nowhere",
        "identity_file": tmp_path,
        "orgs_target": "unix:/nowhere",
        "store_path": tmp_path,
        "build_path": tmp_path,
        "build_isolation": "chroot",
        "encryption_keys": Keys("", {}).renewed().dump(),
    }
    settings = BuilderSettings.model_validate(told)
    with pytest.raises(SystemExit, match="no Dockerfiles can be built here"):
        await build(settings, ContextsSettings(), asyncio.Event())
