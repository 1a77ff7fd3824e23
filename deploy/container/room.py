"""The start of a container: secrets from files into the environment, then the room's own command line."""

import os
import runpy
from pathlib import Path

MODULES = {"gateway": "gateway", "operator": "deploy.local.operator", "storage": "storage"}
_SUFFIXES = (
    "_DATABASE_URL_FILE",
    "SMTP_PASSWORD_FILE",
    "_CONTEXTS_ACCESS_KEY_FILE",
    "_CONTEXTS_SECRET_KEY_FILE",
)
# What the builder's check has written; before it ever ran, there is no builder.
_CHECKED = "SNAPSHOTS_NO_BUILDER_FILE"


def main() -> None:
    take_secrets()
    room = os.environ["RATOON_ROOM"]
    runpy.run_module(MODULES.get(room, f"services.{room}"), run_name="__main__", alter_sys=True)


def take_secrets() -> None:
    for name in [name for name in os.environ if name.endswith(_SUFFIXES)]:
        secret = Path(os.environ.pop(name)).read_text().strip()
        os.environ[name.removesuffix("_FILE")] = secret
    checked = Path(os.environ.pop(_CHECKED, ""))
    if checked.is_file():
        why = checked.read_text().strip()
        os.environ |= {"SNAPSHOTS_BUILDER": "" if why else "true", "SNAPSHOTS_NO_BUILDER": why}


if __name__ == "__main__":
    main()
