"""Envoy in front of the gateway on one machine: the configuration for this start and the command that runs it."""

from pathlib import Path
from string import Template

from deploy.local.binaries import find_envoy
from deploy.local.state import write_private

TEMPLATE = Path(__file__).parents[1] / "envoy" / "envoy.yaml.template"


def command(runtime: Path, port: int, gateway_port: int) -> tuple[str, ...]:
    """Write the configuration and return the command."""
    path = runtime / "envoy.yaml"
    write_private(path, configuration("127.0.0.1", port, "127.0.0.1", gateway_port))
    return (
        *(str(find_envoy()), "--config-path", str(path), "--concurrency", "1"),
        # Several Envoys on one machine share nothing but this number.
        *("--use-dynamic-base-id", "--log-level", "info", "--drain-time-s", "5"),
    )


def configuration(listen: str, port: int, gateway: str, gateway_port: int) -> str:
    """Return Envoy's static configuration for one listener and one gateway."""
    return Template(TEMPLATE.read_text()).substitute(
        LISTEN_ADDRESS=listen,
        LISTEN_PORT=port,
        GATEWAY_ADDRESS=gateway,
        GATEWAY_PORT=gateway_port,
    )
