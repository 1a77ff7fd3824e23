"""The installation's own registry: found, told what to trust, and left out when the operator says so."""

import stat
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are not among the locked requirements

from deploy.local.operator import make_registry_key
from deploy.local.registry import CERTIFICATE, KEY, command, program
from deploy.local.state import Home


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    path = tmp_path / "bin" / "docker-registry"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_it_is_found_on_the_path_unless_the_operator_has_said_otherwise(installed: Path) -> None:
    path = {"PATH": str(installed.parent)}
    assert program(path) == str(installed)
    assert program({**path, "SNAPSHOTS_PUSH_REGISTRY": ""}) is None
    assert program({**path, "SNAPSHOTS_PUSH_REGISTRY": "push.example"}) is None


def test_it_trusts_our_tokens_and_nobody_else(tmp_path: Path, installed: Path) -> None:
    home = Home(tmp_path / "it's a home: #1")
    home.prepare()
    serve = command(home, tmp_path, str(installed), 3986, 3992)
    assert serve[:2] == (str(installed), "serve")
    configured = yaml.safe_load(Path(serve[2]).read_text())
    assert configured["auth"] == {
        "token": {
            "realm": "http://127.0.0.1:3986/api/registry/token",
            "service": "ratoon-registry",
            "issuer": "ratoon",
            "rootcertbundle": str(home.secrets / CERTIFICATE),
        }
    }
    assert configured["http"]["addr"] == "127.0.0.1:3992"
    assert configured["storage"] == {"filesystem": {"rootdirectory": str(home.registry)}}
    assert stat.S_IMODE(home.registry.stat().st_mode) == 0o700


def test_its_key_is_for_the_owner_only(tmp_path: Path) -> None:
    make_registry_key(tmp_path)
    assert {stat.S_IMODE((tmp_path / n).stat().st_mode) for n in (KEY, CERTIFICATE)} == {0o600}
    assert "PRIVATE" not in (tmp_path / CERTIFICATE).read_text()
