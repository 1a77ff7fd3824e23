"""The secrets that are given out: random, or made again for an answer that has to be repeated."""

import hmac
import secrets

PREFIX = "dtn_"
_BYTES = 32


def fresh() -> str:
    """Return a secret that nobody can guess and nobody makes again."""
    return PREFIX + secrets.token_hex(_BYTES)


class Repeatable:
    """Secrets that this machine alone can make again from a nonce, so that none of them has to be stored."""

    def __init__(self, key: bytes, key_id: str) -> None:
        self._key = key
        self.key_id = key_id

    def nonce(self) -> str:
        return secrets.token_hex(_BYTES)

    def secret(self, nonce: str, scope: str, request_id: str) -> str:
        message = "\n".join((nonce, scope, request_id)).encode()
        return PREFIX + hmac.digest(self._key, message, "sha256").hex()
