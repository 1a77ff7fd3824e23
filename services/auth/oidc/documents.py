"""What an issuer publishes about itself, fetched with limits."""

import json
from typing import Any
from urllib.parse import urlsplit

import httpx

_SECONDS = 5.0
_LONGEST = 1 << 20


class Unfetchable(Exception):
    """The issuer did not answer, or not with what it should."""


async def discover(base_url: str) -> tuple[str, str]:
    """Return the issuer's own name and the address of its keys."""
    base = base_url.rstrip("/")
    document = await fetch(base + "/.well-known/openid-configuration")
    issuer, keys = document.get("issuer"), document.get("jwks_uri")
    if not isinstance(issuer, str) or not isinstance(keys, str):
        raise Unfetchable("the issuer's configuration names no issuer or no keys")
    if urlsplit(keys).scheme not in ("https", urlsplit(base).scheme):
        raise Unfetchable("the issuer's keys are less protected than its configuration")
    return issuer, keys


async def fetch(url: str) -> dict[str, Any]:
    """Return the JSON object at `url`."""
    body = bytearray()
    try:
        async with (
            httpx.AsyncClient(timeout=_SECONDS, trust_env=True) as client,
            client.stream("GET", url, headers={"accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > _LONGEST:
                    raise Unfetchable(f"{url} answers more than {_LONGEST} bytes")
        document = json.loads(body)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as failed:
        raise Unfetchable(f"{url}: {type(failed).__name__}") from failed
    if not isinstance(document, dict):
        raise Unfetchable(f"{url} answers no object")
    return document
