"""Where a step that nobody trusts may go: outside, but not to this machine, nor to the private networks around it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from tests.integration.snapshots.builder.shop import Shop


class Index(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        body = b"a package\n"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _own_address() -> str:
    """Return an address of this machine that is not on its loopback. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("192.0.2.200", 9))
        except OSError:
            pytest.fail("this machine has no network, not even one without anybody in it")
        address: str = asked.getsockname()[0]
    return address


@contextmanager
def _index(address: str) -> Iterator[int]:
    with ThreadingHTTPServer((address, 0), Index) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


async def test_a_step_reaches_what_is_listed_and_not_the_loopback(shop: Shop) -> None:
    mine, address = shop.house.organization(), _own_address()
    with _index(address) as outside, _index("127.0.0.1") as inside:
        text = f"""\
FROM {shop.base}
RUN wget -q -O /got http://{address}:{outside}/package && cat /got
RUN wget -T 5 -q -O /secret http://127.0.0.1:{inside}/ || echo no loopback
RUN wget -T 5 -q -O /secret http://10.0.2.2:{inside}/ || echo no way back
ADD http://{address}:{outside}/package /added
RUN cat /added; ls /secret || echo nothing got
"""
        async with shop.builder(isolation="gvisor", reachable=address):
            snapshot = await mine.build(text)
            row = await mine.until(snapshot, "active", "build_failed", seconds=90)
            log = await mine.log(snapshot)
            assert row.state == "active", log
            for port in (inside,):
                failing = await mine.build(
                    f"FROM {shop.base}\nADD http://127.0.0.1:{port}/ /secret\n"
                )
                row = await mine.until(failing, "active", "build_failed", seconds=60)
                assert row.state == "build_failed"
    said = log.splitlines()
    assert said.count("a package") == 2
    assert Index.asked.count("/package") >= 2
    assert {"no loopback", "no way back", "nothing got"} <= set(said)
    shop.check_nothing_left()


async def test_what_is_not_listed_is_not_reached(shop: Shop) -> None:
    """Neither by a step nor by ADD; at once, not after a while. And no step can change that."""
    mine, address = shop.house.organization(), _own_address()
    refused = ("10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1")
    with _index(address) as port:
        asked = "".join(
            f"RUN wget -T 9 -q -O /secret http://{host}:{port}/forbidden || echo not {host}\n"
            for host in (address, *refused)
        )
        text = f"""\
FROM {shop.base}
RUN ip route add {address}/32 via 10.0.2.2 || ip route flush table all || echo no change
{asked}RUN wget -T 5 -q -O /secret http://[fd00::2]:{port}/forbidden || wget -T 5 -q -O /secret http://[::1]:{port}/forbidden || echo no six
RUN test ! -s /secret && echo nothing got
"""
        async with shop.builder(isolation="gvisor", reachable="10.9.0.0/16"):
            snapshot = await mine.build(text)
            row = await mine.until(snapshot, "active", "build_failed", seconds=120)
            log = await mine.log(snapshot)
            assert row.state == "active", log
            failing = await mine.build(
                f"FROM {shop.base}\nADD http://{address}:{port}/forbidden /secret\n"
            )
            row = await mine.until(failing, "active", "build_failed", seconds=60)
            assert row.state == "build_failed"
    said = log.splitlines()
    assert {"no change", "no six", "nothing got"} <= set(said)
    assert {f"not {host}" for host in (address, *refused)} <= set(said)
    assert "/forbidden" not in Index.asked
    shop.check_nothing_left()
