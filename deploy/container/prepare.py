"""Make the secrets that compose.yaml mounts: `python -m deploy.container.prepare`.

Every secret is generated; none has a default. Files that are there already stay as they are; called again once a year, it
also renews the edge's certificate.
"""

import os
from pathlib import Path

from deploy.local.certificates import ensure
from deploy.local.operator import make_identities, make_registry_key
from deploy.local.postgres import roles_and_databases
from deploy.local.registry import CERTIFICATE
from deploy.local.secret_files import CONTEXTS, database_secrets, make_own
from deploy.local.state import Home, write_private
from deploy.local.storage import made_keys

FOLDER = Path(__file__).parents[1] / "compose-state"
# Whom the containers run as when root prepares: file secrets are mounted with the owner they have here.
_ACCOUNT = 10001
# Nothing but this renews it, and no client takes one that lasts longer.
_CERTIFICATE_DAYS = 397
_PROFILES = "COMPOSE_PROFILES=builder,registry,storage"


def prepare(folder: Path) -> None:
    """Fill `folder` and write the `.env` beside it that names the account the containers run as."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
    home = Home(folder)
    _make_database(home)
    make_own(home, os.environ)
    make_identities(home.secrets)
    _make_storage(home)
    if not (home.secrets / CERTIFICATE).exists():
        make_registry_key(home.secrets)
    ensure(home.tls, server_days=_CERTIFICATE_DAYS)
    _write_once(home, "smtp-password", os.environ.get("SMTP_PASSWORD", ""))
    uid, gid = (os.geteuid(), os.getegid()) if os.geteuid() else (_ACCOUNT, _ACCOUNT)
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, uid, gid)
    _write_environment(folder.parent / ".env", uid, gid)


def _make_database(home: Home) -> None:
    secrets = database_secrets(home)
    for context in CONTEXTS:
        url = f"postgresql://{context}:{secrets[context].password}@postgres/{context}"
        write_private(home.secrets / f"{context}-database-url", url + "\n")
    write_private(home.secrets / "postgres-password", secrets["postgres"].password + "\n")
    roles = {context: secrets[context] for context in CONTEXTS}
    write_private(home.secrets / "roles.sql", roles_and_databases(roles))


def _make_storage(home: Home) -> None:
    """Make the keys of the storage, and those that are shown to it: of the operator's storage, if there is one."""
    made = made_keys(home)
    for name in ("access", "secret"):
        given = os.environ.get(f"SNAPSHOTS_CONTEXTS_{name.upper()}_KEY")
        _write_once(home, f"contexts-{name}-key", given or made[f"{name}Key"])


def _write_once(home: Home, name: str, text: str) -> None:
    if not (home.secrets / name).exists():
        write_private(home.secrets / name, text + "\n")


def _write_environment(path: Path, uid: int, gid: int) -> None:
    """Say who runs; what else the operator has written there stays."""
    ours = (f"RATOON_UID={uid}", f"RATOON_GID={gid}")
    kept = path.read_text().splitlines() if path.exists() else []
    others = [line for line in kept if not line.startswith(("RATOON_UID=", "RATOON_GID="))]
    if not any(line.startswith("COMPOSE_PROFILES=") for line in others):
        others.append(_PROFILES)
    write_private(path, "\n".join((*ours, *others)) + "\n")


if __name__ == "__main__":
    prepare(FOLDER)
