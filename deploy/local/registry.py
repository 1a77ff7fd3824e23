"""The installation's own registry on one machine: Debian's docker-registry, where it is installed, trusting our tokens."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from deploy.local.ports import LOOPBACK
from deploy.local.state import Home, write_private

# Said by the operator, also as the empty text: there is another one, or none.
VARIABLE = "SNAPSHOTS_PUSH_REGISTRY"
KEY, CERTIFICATE = "registry-token.pem", "registry-token.crt"
READY_LINE = b"listening on "
# What Debian puts into /usr/sbin is not always on the path of an ordinary user.
_MORE_PATHS = ("/usr/sbin", "/sbin")
_CONFIGURATION = """\
version: 0.1
log: {{level: info, accesslog: {{disabled: true}}}}
storage:
  filesystem: {{rootdirectory: {data}}}
http:
  addr: {host}
auth:
  token:
    realm: {realm}
    service: ratoon-registry
    issuer: ratoon
    rootcertbundle: {certificate}
"""


def program(environ: Mapping[str, str]) -> str | None:
    """Return the program to run, if there is one and the operator has said nothing else."""
    if VARIABLE in environ:
        return None
    paths = (environ.get("PATH", os.defpath), *_MORE_PATHS)
    return shutil.which("docker-registry", path=os.pathsep.join(paths))


def realm(port: int) -> str:
    """Return where the registry sends its clients for tokens: the API, on this machine."""
    return f"http://{LOOPBACK}:{port}/api/registry/token"


def command(
    home: Home, runtime: Path, program: str, port: int, registry_port: int
) -> tuple[str, ...]:
    """Write the configuration and return the command."""
    home.registry.mkdir(mode=0o700, exist_ok=True)
    path = runtime / "registry.yml"
    text = _CONFIGURATION.format(
        data=_quoted(home.registry),
        host=f"{LOOPBACK}:{registry_port}",
        realm=realm(port),
        certificate=_quoted(home.secrets / CERTIFICATE),
    )
    write_private(path, text)
    return (program, "serve", str(path))


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
