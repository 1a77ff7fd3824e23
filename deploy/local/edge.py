"""Envoy in front of the gateway on one machine: the configuration for this start and the command that runs it."""

import re
from pathlib import Path

from deploy.local.binaries import find_envoy
from deploy.local.failures import Failure
from deploy.local.state import write_private

CONFIGURATION = Path(__file__).parents[1] / "envoy" / "envoy.yaml"
_CONTAINERS = re.compile(r"^ *# containers \{\n.*?^ *# \}\n", re.DOTALL | re.MULTILINE)


def command(runtime: Path, port: int, gateway_port: int) -> tuple[str, ...]:
    """Write the configuration and return the command."""
    path = runtime / "envoy.yaml"
    write_private(path, configuration("127.0.0.1", port, "127.0.0.1", gateway_port))
    return (
        *(str(find_envoy()), "--config-path", str(path), "--concurrency", "1"),
        # Several Envoys on one machine share nothing but this number.
        *("--use-dynamic-base-id", "--log-level", "info", "--drain-time-s", "5"),
        # The access log is written once a second.
        *("--file-flush-interval-msec", "1000"),
    )


def configuration(listen: str, port: int, gateway: str, gateway_port: int) -> str:
    """Return Envoy's static configuration with these addresses in place of the containers', for the API alone."""
    text = _CONTAINERS.sub("", CONFIGURATION.read_text())
    for marker, address, number in (("public", listen, port), ("gateway", gateway, gateway_port)):
        wanted = f"socket_address: {{address: {address}, port_value: {number}}}"
        text, count = re.subn(rf"socket_address: {{[^}}]*}}  # {marker}", wanted, text)
        if count != 1:
            raise Failure(f"{CONFIGURATION} has {count} addresses marked `# {marker}`, not one")
    return text
