"""compose.yaml without an engine: its services as plain processes, told what the file tells them.

What only an engine gives is put in its place: mounted secrets and volumes are folders, names of services and their ports
are ports of the loopback address.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are not among the locked requirements

from deploy.container import prepare
from tests.integration.deploy.harness import free_port

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "deploy" / "compose.yaml"
_VARIABLE = re.compile(r"\$\{(\w+)(?:(:?[-?])((?:[^${}]|\$\{[^{}]*\})*))?\}")
_LIMIT = 60


def interpolated(text: str, told: Mapping[str, str]) -> str:
    """Return a text of compose.yaml with its variables replaced, as the engine's own client does it."""

    def value(found: re.Match[str]) -> str:
        name, how, other = found[1], found[2] or "", found[3] or ""
        known = told.get(name)
        if known is None or (how.startswith(":") and not known):
            assert not how.endswith("?"), f"{name}: {other}"
            return interpolated(other, told)
        return known

    return _VARIABLE.sub(value, text)


class Containers:
    """One project in a folder of its own; `told` are the operator's variables."""

    def __init__(self, base: Path, **told: str) -> None:
        self.base, self.state = base, base / "compose-state"
        prepare.prepare(self.state)
        lines = (base / ".env").read_text().splitlines()
        self.told = {**dict(line.split("=", 1) for line in lines), **told}
        self.file: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
        self.port_of: dict[tuple[str, str], int] = {}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def secret(self, name: str) -> Path:
        return self.base / str(self.file["secrets"][name]["file"])

    def volume(self, name: str) -> Path:
        path = self.base / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def port(self, service: str, port: str) -> int:
        """Return where a port of a service is here."""
        return self.port_of.setdefault((service, port), free_port())

    def environment(self, service: str) -> dict[str, str]:
        """Return what a service is told: only the secrets and volumes that it is given can be named by it."""
        told = self.file["services"][service].get("environment", {})
        return {
            name: self.placed(service, interpolated(str(text), self.told))
            for name, text in told.items()
        }

    def placed(self, service: str, text: str) -> str:
        """Return a text with this machine's places instead of the container's."""
        described = self.file["services"][service]
        for given in described.get("secrets", []):
            name = given if isinstance(given, str) else given["source"]
            text = re.sub(rf"/run/secrets/{name}(?![\w-])", str(self.secret(name)), text)
        assert "/run/secrets/" not in text, f"{service} is not given {text}"
        for mount in described.get("volumes", []):
            source, target, *_ = mount.split(":")
            if source in self.file["volumes"]:
                text = re.sub(rf"(?<![\w.]){target}(?![\w-])", str(self.volume(source)), text)
        text = re.sub(r"0\.0\.0\.0:(\d+)", lambda m: f"127.0.0.1:{self.port(service, m[1])}", text)
        names = "|".join(sorted(self.file["services"], key=len, reverse=True))
        pattern = rf"(?<![\w./-])((?:http://)?)({names}):(\d+)"
        return re.sub(pattern, lambda m: f"{m[1]}127.0.0.1:{self.port(m[2], m[3])}", text)

    def command(self, service: str, *words: str) -> list[str]:
        """Return what starts a service whose image is a room; `words` instead of the file's."""
        described = self.file["services"][service]
        start = "builder.py" if described["build"].get("target") == "builder" else "room.py"
        given = words or [self.placed(service, w) for w in described.get("command", ["serve"])]
        return [sys.executable, "-P", str(ROOT / "deploy" / "container" / start), *given]

    def environ(self, service: str) -> dict[str, str]:
        room = self.file["services"][service]["build"]["args"]["ROOM"]
        path = os.pathsep.join(map(str, (ROOT / "deploy" / "container", ROOT, ROOT / "protos/gen")))
        common = {"PATH": os.environ["PATH"], "PYTHONPATH": path, "RATOON_ROOM": room}
        return common | self.environment(service)

    def contained(self, service: str, *words: str) -> list[str]:
        """Return its command, with the secrets mounted for reading and, as root, no more rights than it is given."""
        secrets = str(self.state / "secrets")
        mount = 'mount -o bind,ro "$1" "$1" && shift && exec "$@"'
        rights = self.file["services"][service].get("cap_add", [])
        bounds = ",".join(("-all", *(f"+{right.lower()}" for right in rights)))
        less = ["setpriv", f"--bounding-set={bounds}", "--no-new-privs"] if rights else []
        command = [*less, *self.command(service, *words)]
        return ["unshare", "--mount", "sh", "-c", mount, "sh", secrets, *command]

    def run(self, service: str, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a service to its end, as `docker compose run --rm` does."""
        return subprocess.run(
            self.contained(service, *words),
            env=self.environ(service) | more,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )

    def start(self, service: str) -> None:
        self.spawn(service, self.contained(service), self.environ(service))

    def spawn(self, service: str, command: list[str], environment: Mapping[str, str]) -> None:
        with (self.base / f"{service}.log").open("ab") as log:
            self._running[service] = subprocess.Popen(
                command, env=dict(environment), cwd="/", stdout=log, stderr=log
            )

    def await_healthy(self, service: str) -> None:
        """Return when the image's own health check says so."""
        check = [sys.executable, "-P", str(ROOT / "deploy" / "container" / "health.py")]
        environment = self.environ(service)
        while subprocess.run(check, env=environment, capture_output=True, check=False).returncode:
            assert self._running[service].poll() is None, self.log(service)

    def log(self, service: str) -> str:
        return (self.base / f"{service}.log").read_text()

    def stop(self, service: str) -> int:
        process = self._running.pop(service)
        process.send_signal(signal.SIGTERM)
        return process.wait(30)

    def stop_all(self) -> None:
        for service in reversed(list(self._running)):
            self.stop(service)
