"""The keys that a context seals secrets with, replaced in two steps: `python -m deploy.container.rotate CONTEXT STEP`.

Containers are only shown these files. First every process of the context must know the new key (`add`), then it is what
they seal under (`activate`), then all is sealed anew (`rotate-keys` of the context), and the old ones are forgotten
(`forget`). After each step the processes of the context are started anew.
"""

import os
import sys
from pathlib import Path

from chassis.sealing import Keys, parse
from deploy.container.prepare import FOLDER
from deploy.local.secret_files import ENCRYPTION_KEYS
from deploy.local.state import write_private

STEPS = ("add", "activate", "forget")


def rotate(path: Path, step: str) -> None:
    """Do a step on a file of keys. A step that has been done already changes nothing."""
    text = path.read_text()
    keys = parse(text)
    # The new one is the last.
    *_, last = keys.secrets
    if step == "add" and len(keys.secrets) == 1:
        keys = Keys(keys.active, keys.renewed().secrets)
    elif step == "activate":
        keys = Keys(last, keys.secrets)
    elif step == "forget" and len(keys.secrets) > 1:
        # A backup of the database from before needs them.
        _write(path.with_name(f"{path.name}.before"), text, path)
        keys = Keys(keys.active, {keys.active: keys.secrets[keys.active]})
    _write(path, keys.dump(), path)


def _write(path: Path, text: str, like: Path) -> None:
    owner = like.stat()
    write_private(path, text)
    os.chown(path, owner.st_uid, owner.st_gid)


def main() -> None:
    match sys.argv[1:]:
        case [context, step] if context in ENCRYPTION_KEYS and step in STEPS:
            rotate(FOLDER / ENCRYPTION_KEYS[context], step)
        case _:
            sys.exit(f"usage: rotate {'|'.join(ENCRYPTION_KEYS)} {'|'.join(STEPS)}")


if __name__ == "__main__":
    main()
