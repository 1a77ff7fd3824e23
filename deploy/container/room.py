"""The start of a container: secrets from files into the environment, then the room's own command line."""

import os
import runpy
from pathlib import Path

MODULES = {"gateway": "gateway", "operator": "deploy.local.operator"}
_SUFFIXES = ("_DATABASE_URL_FILE", "SMTP_PASSWORD_FILE", "_CONTEXTS_SECRET_KEY_FILE")


def main() -> None:
    for name in [name for name in os.environ if name.endswith(_SUFFIXES)]:
        secret = Path(os.environ.pop(name)).read_text().strip()
        os.environ[name.removesuffix("_FILE")] = secret
    room = os.environ["RATOON_ROOM"]
    runpy.run_module(MODULES.get(room, f"services.{room}"), run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
