"""Make the secrets that compose.yaml mounts: `python -m deploy.container.prepare`.

Every secret is generated; none has a default. Files that are there already stay as they are.
"""

import os
from pathlib import Path

from deploy.local.operator import make_identities
from deploy.local.postgres import roles_and_databases
from deploy.local.secret_files import CONTEXTS, database_secrets, make_own
from deploy.local.state import Home, write_private

FOLDER = Path(__file__).parents[1] / "compose-state"
# Whom the containers run as when root prepares: file secrets are mounted with the owner they have here.
_ACCOUNT = 10001


def prepare(folder: Path) -> None:
    """Fill `folder` and write the `.env` beside it that names the account the containers run as."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "secrets").mkdir(mode=0o700, exist_ok=True)
    home = Home(folder)
    secrets = database_secrets(home)
    make_own(home, os.environ)
    make_identities(home.secrets)
    for context in CONTEXTS:
        url = f"postgresql://{context}:{secrets[context].password}@postgres/{context}"
        write_private(home.secrets / f"{context}-database-url", url + "\n")
    write_private(home.secrets / "postgres-password", secrets["postgres"].password + "\n")
    if not (home.secrets / "smtp-password").exists():
        # The one secret that is not ours to make.
        write_private(home.secrets / "smtp-password", os.environ.get("SMTP_PASSWORD", "") + "\n")
    roles = {context: secrets[context] for context in CONTEXTS}
    write_private(home.secrets / "roles.sql", roles_and_databases(roles))
    uid, gid = (os.geteuid(), os.getegid()) if os.geteuid() else (_ACCOUNT, _ACCOUNT)
    if os.geteuid() == 0:
        for path in (folder, home.secrets, *home.secrets.iterdir()):
            os.chown(path, uid, gid)
    write_private(folder.parent / ".env", f"RATOON_UID={uid}\nRATOON_GID={gid}\n")


if __name__ == "__main__":
    prepare(FOLDER)
