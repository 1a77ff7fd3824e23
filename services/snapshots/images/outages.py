"""Which failure an exception of the network stands for."""

import socket

import aiohttp

from services.snapshots.images.failures import Code, PullFailed

# Definite answers of the resolver. Any other trouble of it (EAI_AGAIN above all) may pass.
_NO_SUCH_HOST = {socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY}


def failure_of(error: BaseException, host: str) -> PullFailed:
    """Name what went wrong. The text never repeats a URL: one may carry a signature."""
    if isinstance(error, TimeoutError):
        return PullFailed(Code.REGISTRY_TIMEOUT, f"{host} did not answer in time")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _unresolved(error.os_error, host)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return PullFailed(
            Code.REGISTRY_TLS,
            f"the certificate of {host} is not trusted: {_short(error.certificate_error)}",
        )
    if isinstance(error, aiohttp.ClientSSLError):
        return PullFailed(
            Code.REGISTRY_TLS, f"no TLS connection to {host}: {_short(error.os_error)}"
        )
    if isinstance(error, aiohttp.InvalidURL):
        return PullFailed(Code.REGISTRY_HOST_UNKNOWN, f"{host} is no host name")
    if isinstance(error, aiohttp.ClientResponseError):
        return PullFailed(Code.REGISTRY_PROTOCOL, f"{host} does not speak HTTP correctly")
    if isinstance(error, aiohttp.ClientConnectorError):
        return PullFailed(
            Code.REGISTRY_UNREACHABLE, f"no connection to {host}: {_short(error.os_error)}"
        )
    return PullFailed(Code.REGISTRY_UNREACHABLE, f"the connection to {host} broke off")


def _unresolved(error: OSError, host: str) -> PullFailed:
    if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_HOST:
        return PullFailed(Code.REGISTRY_HOST_UNKNOWN, f"there is no host {host}")
    return PullFailed(Code.REGISTRY_UNREACHABLE, f"the name {host} cannot be looked up right now")


def _short(error: BaseException) -> str:
    reason = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
    return str(reason)[:200]
