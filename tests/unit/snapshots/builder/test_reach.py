"""Which networks builds may not reach."""

from ipaddress import IPv4Network

import pytest

from services.snapshots.builder.reach import networks, own_addresses, refused

_TABLE = """\
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.0
        /24 link UNICAST
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
"""
OWN = IPv4Network("192.0.2.2")


def _refuses(address: str, *listed: str) -> bool:
    """Tell what routes would do: the smallest network that an address is in decides."""
    allowed = networks(",".join(listed))
    there = [(n, False) for n in allowed] + [(n, True) for n in refused({OWN}, allowed)]
    found = [(n.prefixlen, no) for n, no in there if IPv4Network(address).subnet_of(n)]
    return max(found)[1] if found else False


def test_own_addresses_are_read_from_the_kernels_table() -> None:
    assert own_addresses(_TABLE) == {IPv4Network("127.0.0.1"), OWN}


@pytest.mark.parametrize(
    "address",
    [
        "10.1.2.3",
        "172.31.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.2",
        "0.0.0.0",
    ],
)
def test_what_is_private_or_ours_is_refused(address: str) -> None:
    assert _refuses(address)


@pytest.mark.parametrize("address", ["192.0.2.3", "172.32.0.1", "1.1.1.1", "193.0.0.1"])
def test_what_is_public_is_not(address: str) -> None:
    assert not _refuses(address)


def test_what_is_listed_is_reached() -> None:
    assert not _refuses("10.1.2.3", "10.1.0.0/16")
    assert not _refuses("10.1.2.3", "10.0.0.0/8")
    assert not _refuses("10.1.2.3", "10.1.2.3")
    assert _refuses("10.1.2.3", "10.2.0.0/16", "10.1.2.4")


def test_this_machine_is_reached_only_by_an_address_that_is_listed() -> None:
    assert _refuses("192.0.2.2", "192.0.2.0/24")
    assert not _refuses("192.0.2.2", "192.0.2.2")


def test_what_is_no_network_is_refused() -> None:
    assert networks(" 10.0.0.1 ,, 10.1.0.0/16 ") == (
        IPv4Network("10.0.0.1"),
        IPv4Network("10.1.0.0/16"),
    )
    for text in ("10.0.0.1/8", "fd00::/8", "somewhere"):
        with pytest.raises(ValueError, match=r"."):
            networks(text)
