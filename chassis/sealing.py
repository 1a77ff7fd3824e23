"""Encryption at rest: AES-256-GCM, bound to the place where a secret is kept, under keys that can be replaced."""

import base64
import json
import os
import secrets
import string
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_ID_BYTES, _NONCE_BYTES, _KEY_BYTES = 8, 12, 32
# 32 random bytes have fewer different ones once in 10^15 times, and are all printable as rarely.
_LEAST_VARIETY = 16
_PRINTABLE = frozenset(string.printable.encode())


class KeysInvalid(ValueError):
    """What should hold the keys does not, or holds some that anybody could guess."""


class KeyUnknown(RuntimeError):
    """Something is sealed under a key that is not there any more."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys by id; the active one seals."""

    active: str
    secrets: Mapping[str, bytes]

    def renewed(self) -> "Keys":
        """Return these keys and a new active one."""
        new = secrets.token_hex(_ID_BYTES)
        return Keys(new, {**self.secrets, new: secrets.token_bytes(_KEY_BYTES)})

    def dump(self) -> str:
        kept = {id_: base64.b64encode(key).decode() for id_, key in self.secrets.items()}
        return json.dumps({"active": self.active, "keys": kept}, indent=2) + "\n"


def parse(text: str) -> Keys:
    """Read `{"active": id, "keys": {id: base64}}`; the error never holds a part of a key."""
    try:
        read = json.loads(text)
        active, kept = str(read["active"]), read["keys"].items()
        found = {str(id_): base64.b64decode(key, validate=True) for id_, key in kept}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise KeysInvalid("this is no list of encryption keys") from None
    if active not in found:
        raise KeysInvalid("the active encryption key is not among the keys")
    for id_, key in found.items():
        if len(id_) != 2 * _ID_BYTES or not set(id_) <= set("0123456789abcdef"):
            raise KeysInvalid(f"an encryption key's id has {2 * _ID_BYTES} hexadecimal digits")
        if len(key) != _KEY_BYTES or len(set(key)) < _LEAST_VARIETY or _PRINTABLE.issuperset(key):
            raise KeysInvalid(f"encryption key {id_} is not {_KEY_BYTES} random bytes")
    return Keys(active, found)


class KeyRing:
    """Seals and opens under the keys in a file, which is read again when it changes, or in a text that stays."""

    def __init__(self, path: Path | None = None, text: str = "") -> None:
        self._path, self._signature = path, (0, 0)
        # What a platform gives, as a text or mounted for reading, only the platform replaces.
        self.replaceable = path is not None and os.access(path.parent, os.W_OK)
        self._keys = parse(text) if path is None else self._load(path)

    def keys(self) -> Keys:
        """Return the keys as they are now."""
        if self._path is not None and _signature(self._path) != self._signature:
            self._keys = self._load(self._path)
        return self._keys

    def seal(self, secret: bytes, place: str) -> bytes:
        """Return the secret as it may be kept at `place`, and nowhere else."""
        keys = self.keys()
        id_, nonce = bytes.fromhex(keys.active), secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(keys.secrets[keys.active]).encrypt(nonce, secret, id_ + place.encode())
        return id_ + nonce + sealed

    def open(self, sealed: bytes, place: str) -> bytes:
        """Return what was sealed for `place`; anything else raises cryptography's InvalidTag."""
        id_, nonce = sealed[:_ID_BYTES], sealed[_ID_BYTES : _ID_BYTES + _NONCE_BYTES]
        key = self._keys.secrets.get(id_.hex()) or self.keys().secrets.get(id_.hex())
        if key is None:
            raise KeyUnknown(f"encryption key {id_.hex()} is not there any more")
        return AESGCM(key).decrypt(nonce, sealed[_ID_BYTES + _NONCE_BYTES :], id_ + place.encode())

    def replace(self, keys: Keys) -> None:
        """Keep other keys in the file; whoever reads it sees the old ones or these, also after a power cut."""
        assert self._path is not None
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        with os.fdopen(handle, "w") as out:
            out.write(keys.dump())
            out.flush()
            os.fsync(out.fileno())
        Path(temporary).replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)

    def _load(self, path: Path) -> Keys:
        self._signature = _signature(path)  # before reading: what changes meanwhile is read again
        return parse(path.read_text())


def _signature(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


def id_of(sealed: bytes) -> str:
    """Return the id of the key that something is sealed under."""
    return sealed[:_ID_BYTES].hex()
