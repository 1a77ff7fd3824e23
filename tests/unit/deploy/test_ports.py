"""Choosing ports."""

import socket
from collections.abc import Iterator

import pytest

from deploy.local.failures import Failure
from deploy.local.ports import choose, is_free, require_free


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_taken_port_is_refused_with_a_remedy(taken: int) -> None:
    assert not is_free(taken)
    with pytest.raises(Failure, match="--port"):
        require_free(taken)


def test_a_taken_port_is_stepped_around(taken: int) -> None:
    chosen = choose(taken, ["a", "b", "c"])
    assert chosen["a"] != taken
    assert len(set(chosen.values())) == 3


def test_free_ports_are_taken_in_a_row() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        first = probe.getsockname()[1]
    assert choose(first, ["a"]) == {"a": first}


def test_the_last_port_has_no_successor() -> None:
    chosen = choose(65535, ["a", "b"])
    assert all(0 < port < 65536 for port in chosen.values())
    assert len(set(chosen.values())) == 2
