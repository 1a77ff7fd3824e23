"""What builds reach of the networks around them: nothing that is private, and nothing of this machine, but what is listed."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Network

# By RFC 6890: private, shared and link-local networks (metadata services are there), and what is no place to go to.
_PRIVATE = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_OWN = re.compile(r"\|-- (\S+)\n\s+/32 host LOCAL")
ADDRESSES = "/proc/net/fib_trie"


def networks(text: str) -> tuple[IPv4Network, ...]:
    """Return addresses and networks that are separated by commas. Raises ValueError."""
    return tuple(IPv4Network(part.strip()) for part in text.split(",") if part.strip())


def own_addresses(table: str) -> set[IPv4Network]:
    """Return this machine's addresses, as the kernel's table (ADDRESSES) tells them."""
    return {IPv4Network(found) for found in _OWN.findall(table)}


def refused(own: Iterable[IPv4Network], reachable: Iterable[IPv4Network]) -> list[IPv4Network]:
    """Return what must not be reached. This machine's own addresses are reachable only if they are listed one by one.

    Of two that overlap, the smaller one decides.
    """
    listed = tuple(reachable)
    private = [n for n in _PRIVATE if not any(n.subnet_of(one) for one in listed)]
    return [*private, *sorted(set(own) - set(listed))]
