"""Choosing TCP ports on the loopback address."""

import socket
from collections.abc import Sequence

from deploy.local.failures import Failure

LOOPBACK = "127.0.0.1"
DEFAULT_PORT = 3986


def is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do, so that connections of a copy that ended a moment ago do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def require_free(port: int) -> None:
    if not is_free(port):
        raise Failure(
            f"port {port} is taken by another program: choose another with --port or RATOON_PORT"
        )


def choose(first: int, names: Sequence[str]) -> dict[str, int]:
    """Return a port for each name: `first` and those after it where free, any other where not."""
    with_ports: dict[str, int] = {}
    held: list[socket.socket] = []
    try:
        for offset, name in enumerate(names):
            wanted = first + offset
            with_ports[name] = wanted if wanted < 65536 and is_free(wanted) else _any_port(held)
    finally:
        for one in held:
            one.close()
    return with_ports


def _any_port(held: list[socket.socket]) -> int:
    """Return a free port; the socket is kept open by the caller so that no two names get the same one."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    held.append(probe)
    probe.bind((LOOPBACK, 0))
    port: int = probe.getsockname()[1]
    return port
