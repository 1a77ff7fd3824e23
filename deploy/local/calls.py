"""Calls of the programs that run once, each in a child process: what they load is gone with them."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local import registry
from deploy.local.environment import for_room
from deploy.local.failures import Failure
from deploy.local.plan import python_command
from deploy.local.state import Home, socket_path


def call_operator(
    home: Home, environ: Mapping[str, str], command: str, *arguments: str
) -> dict[str, Any]:
    """Call auth as the operator of this installation, in a child process."""
    runtime = home.read("runtime.json").get("services", "")
    target = f"unix:{socket_path(Path(runtime), 'auth.sock')}"
    identity = str(home.secrets / "identity-operator.pem")
    said = _child(environ, command, "--target", target, "--identity", identity, *arguments)
    answer: dict[str, Any] = json.loads(said)
    return answer


def certify(home: Home, environ: Mapping[str, str]) -> None:
    """Make the certificates that are missing or about to end, in a child process."""
    done = subprocess.run(
        python_command("deploy.local.certificates", str(home.tls)),
        capture_output=True,
        text=True,
        env=for_room("operator", environ),
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Failure(f"no certificates could be made: {lines[-1]}")


def make_identities(home: Home, environ: Mapping[str, str]) -> None:
    if not (home.secrets / "trust.json").exists():
        _child(environ, "identities", str(home.secrets))


def make_registry_key(home: Home, environ: Mapping[str, str]) -> None:
    if not (home.secrets / registry.CERTIFICATE).exists():
        _child(environ, "registry-key", str(home.secrets))


def _child(environ: Mapping[str, str], *arguments: str) -> str:
    """Run the operator's helper and return what it printed."""
    done = subprocess.run(
        (sys.executable, "-P", "-m", "deploy.local.operator", *arguments),
        capture_output=True,
        text=True,
        env=for_room("operator", environ),
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Failure(f"{arguments[0]} failed: {lines[-1]}")
    return done.stdout
