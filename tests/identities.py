"""Key pairs for the machines of a test's system."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from chassis.grpc.caller import Caller, Identity, Trust, kid_of

MACHINES = ("auth", "orgs", "snapshots", "gateway", "operator", "sandboxes")


class Keyring:
    """Writes `identity-<name>.pem` and `trust.json` into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._keys = {name: Ed25519PrivateKey.generate() for name in MACHINES}
        for name, key in self._keys.items():
            pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            (folder / f"identity-{name}.pem").write_bytes(pem)
        entries = [_entry(name, key) for name, key in self._keys.items()]
        (folder / "trust.json").write_text(json.dumps({"keys": entries}))

    def identity(self, name: str) -> Identity:
        return Identity.load(self.folder / f"identity-{name}.pem", name)

    def trust(self) -> Trust:
        return Trust(self.folder / "trust.json")

    def metadata(self, caller: Caller) -> tuple[tuple[str, str], ...]:
        """Return call metadata of a caller that auth established."""
        token, _ = self.identity("auth").sign(caller)
        return (("ratoon-caller", token),)


def _entry(name: str, key: Ed25519PrivateKey) -> dict[str, str]:
    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    public = urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"issuer": name, "kid": kid_of(key.public_key()), "public": public}
