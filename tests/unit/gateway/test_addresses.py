"""Addresses: only our own proxies are believed."""

import pytest

from gateway.addresses import Peers, limited_as

PEERS = Peers(("10.0.0.0/8", "unix"))


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("198.51.100.1", b"192.0.2.1", "198.51.100.1"),
        ("10.0.0.1", b"192.0.2.1", "192.0.2.1"),
        ("10.0.0.1", b"203.0.113.9, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", b"nonsense", "10.0.0.1"),
        ("10.0.0.1", b"192.0.2.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", b"", "10.0.0.1"),
        ("10.0.0.1", b"2001:DB8::1", "2001:db8::1"),
        ("10.0.0.1", b"\xff\xfe", "10.0.0.1"),
        ("", b"192.0.2.1", "192.0.2.1"),
        ("not-an-address", b"192.0.2.1", "not-an-address"),
    ],
)
def test_the_nearest_that_is_no_proxy_is_the_client(
    peer: str, forwarded: bytes, expected: str
) -> None:
    scope = {"client": (peer, 1) if peer else None}
    assert PEERS.address(scope, {b"x-forwarded-for": forwarded}) == expected


def test_nobody_is_trusted_unless_named() -> None:
    strict = Peers()
    assert (
        strict.address({"client": ("127.0.0.1", 1)}, {b"x-forwarded-for": b"1.2.3.4"})
        == "127.0.0.1"
    )
    assert strict.address({"client": None}, {b"x-forwarded-for": b"1.2.3.4"}) == ""


def test_an_ipv6_client_is_its_network() -> None:
    assert limited_as("2001:db8:1:2:3::4") == limited_as("2001:db8:1:2:ffff::1")
    assert limited_as("2001:db8:1:2::") != limited_as("2001:db8:1:3::")
    assert limited_as("192.0.2.1") == "192.0.2.1"
    assert limited_as("not:an:address") == "not:an:address"
