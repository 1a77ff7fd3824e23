"""Absolute addresses of the gateway's own operations."""

from urllib.parse import quote

from gateway.call import Call
from gateway.paths import PREFIX


def own_url(call: Call, segments: tuple[str, ...]) -> str:
    """Return the address of an operation as the client can reach it."""
    path = "/".join(quote(segment, safe="") for segment in segments)
    return f"{_base(call)}{PREFIX}/{path}"


def _base(call: Call) -> str:
    visit = call.visit
    if visit.gateway.public_url:
        return visit.gateway.public_url
    incoming, client = visit.incoming, call.scope.get("client")
    scheme = str(call.scope["scheme"])
    if visit.gateway.peers.trusts(client[0] if client else ""):
        scheme = {b"https": "https", b"http": "http"}.get(
            incoming.get(b"x-forwarded-proto", b""), scheme
        )
    return f"{scheme}://{incoming.get(b'host', b'localhost').decode('latin-1')}"
