"""The secrets an installation makes for itself at its first start, and the ones it refuses to be given."""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deploy.local.failures import Failure
from deploy.local.state import Home, write_private

CONTEXTS = ("auth", "orgs", "snapshots")
# Contexts that seal secrets, each under keys of its own.
ENCRYPTION_KEYS = {
    context: f"secrets/{context}-encryption-keys.json" for context in ("orgs", "snapshots")
}
SERVICE_CREDENTIALS = ("health-check", "otel-collector")
_SCRAM_ROUNDS = 4096
_PLACEHOLDERS = frozenset(
    {
        *("admin", "change-me", "change_me", "changeit", "changeme", "default", "example"),
        *("health_check_api_key", "password", "postgres", "secret", "supersecret", "test"),
        *("supersecretapikey", "supersecretkey", "todo", "xxx", "your-api-key"),
    }
)
_SECRET_VARIABLES = ("HEALTH_CHECK_API_KEY", "OTEL_COLLECTOR_API_KEY", "OIDC_CLIENT_SECRET")


@dataclass(frozen=True, slots=True)
class DatabaseSecret:
    """A role's password, and what PostgreSQL keeps of it."""

    password: str
    verifier: str


def database_secrets(home: Home) -> dict[str, DatabaseSecret]:
    """Return the password of the superuser (`postgres`) and of each context's role, made once."""
    kept = home.read("secrets/databases.json")
    missing = [role for role in ("postgres", *CONTEXTS) if role not in kept]
    if missing:
        for role in missing:
            password = secrets.token_urlsafe(32)
            kept[role] = {"password": password, "verifier": scram_verifier(password)}
        home.write("secrets/databases.json", kept)
    return {role: DatabaseSecret(**value) for role, value in kept.items()}


def make_own(home: Home, environ: Mapping[str, str]) -> None:
    """Make what the contexts keep secret among themselves."""
    service_credentials(home, environ)
    encryption_keys(home)


def encryption_keys(home: Home) -> None:
    """Make the keys that contexts seal secrets with, once; from then on each context alone changes its file."""
    for file in ENCRYPTION_KEYS.values():
        if not home.read(file):
            id_, key = secrets.token_hex(8), base64.b64encode(secrets.token_bytes(32)).decode()
            home.write(file, {"active": id_, "keys": {id_: key}})


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """Return what PostgreSQL stores for `password`, so that the password itself is never sent in a statement."""
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _SCRAM_ROUNDS)
    client = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored, expected, grains = (base64.b64encode(part).decode() for part in (client, server, salt))
    return f"SCRAM-SHA-256${_SCRAM_ROUNDS}:{grains}${stored}:{expected}"


def service_credentials(home: Home, environ: Mapping[str, str]) -> Path:
    """Keep a secret for every machine that calls the API; `HEALTH_CHECK_API_KEY` replaces the one made here."""
    path = home.secrets / "service-credentials.json"
    kept = home.read("secrets/service-credentials.json")
    wanted = {name: kept.get(name) or secrets.token_urlsafe(32) for name in SERVICE_CREDENTIALS}
    for name, variable in zip(SERVICE_CREDENTIALS, _SECRET_VARIABLES, strict=False):
        wanted[name] = environ.get(variable) or wanted[name]
    if wanted != kept:
        write_private(path, json.dumps(wanted, indent=2) + "\n")
    return path


def refuse_placeholders(environ: Mapping[str, str]) -> None:
    """Refuse to start with a secret that everybody knows."""
    for name in _SECRET_VARIABLES:
        if environ.get(name, "").strip().lower() in _PLACEHOLDERS:
            raise Failure(f"{name} is a placeholder that everybody knows: give it a secret value")
    for context in CONTEXTS:
        name = f"{context.upper()}_DATABASE_URL"
        password = unquote(urlsplit(environ.get(name, "")).password or "")
        if password.lower() in _PLACEHOLDERS:
            raise Failure(f"the password in {name} is a placeholder: give the role a secret one")
