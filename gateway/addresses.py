"""Where a request comes from: the peer, or whom a trusted proxy says it speaks for."""

import ipaddress
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

_UNIX = "unix"


class Peers:
    """Knows which peers are proxies of ours; the word of any other peer about addresses is not heard."""

    def __init__(self, trusted: tuple[str, ...] = ()) -> None:
        """`trusted` holds CIDRs, and `unix` for whoever can open the gateway's unix socket."""
        self._unix = _UNIX in trusted
        self._networks = [ipaddress.ip_network(t) for t in trusted if t != _UNIX]
        self._resolve = lru_cache(maxsize=4096)(self._resolved)

    def address(self, scope: Any, incoming: Mapping[bytes, bytes]) -> str:
        """Return the client's address; empty when it is not known."""
        client = scope.get("client")
        peer = client[0] if client else ""
        forwarded = incoming.get(b"x-forwarded-for")
        if forwarded is None or not self.trusts(peer):
            return peer
        return self._resolve(peer, forwarded[-1024:])

    def trusts(self, peer: str) -> bool:
        """Tell whether this peer is a proxy of ours."""
        if not peer:
            return self._unix
        try:
            parsed = ipaddress.ip_address(peer)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)

    def _resolved(self, peer: str, forwarded: bytes) -> str:
        """Walk from the nearest hop outwards; the first that is no proxy of ours is the client."""
        found = peer
        for hop in reversed(forwarded.decode("latin-1").split(",")):
            try:
                found = str(ipaddress.ip_address(hop.strip()))
            except ValueError:
                return found
            if not self.trusts(found):
                return found
        return found


def limited_as(address: str) -> str:
    """Return whom a limit per address counts: an IPv6 client holds a whole /64."""
    if ":" not in address:
        return address
    try:
        return str(ipaddress.ip_network(f"{address}/64", strict=False))
    except ValueError:
        return address
