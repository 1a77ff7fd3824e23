"""python -m services.orgs serve | migrate | rotate-keys"""

import asyncio
import json
import sys
from typing import TypeVar

from pydantic import ValidationError

from chassis import logging, process
from chassis.db import connect
from chassis.rotation import RotationRunning, rotate
from services.orgs.commands import sealed
from services.orgs.serving import serve
from services.orgs.settings import DatabaseSettings, KeySettings, Settings

_S = TypeVar("_S", bound=DatabaseSettings)


def main(arguments: list[str]) -> None:
    match arguments:
        case ["serve"]:
            logging.configure("orgs")
            settings = read_settings(Settings)
            process.run(lambda stop: serve(settings, stop))
        case ["migrate"]:
            logging.configure("orgs")
            migrate(read_settings(DatabaseSettings))
        case ["rotate-keys"]:
            logging.configure("orgs")
            count = asyncio.run(rotate_keys(read_settings(KeySettings)))
            print(json.dumps({"resealed": count}))
        case _:
            sys.exit(f"usage: {__doc__}")


def migrate(settings: DatabaseSettings) -> None:
    # Here, not above: the migration library is a fifth of a server's memory, and servers never migrate.
    from chassis.migrations import upgrade

    upgrade("services.orgs", settings.database_url.get_secret_value())


async def rotate_keys(settings: KeySettings) -> int:
    """Replace the encryption key; return how many secrets are sealed anew."""
    url = settings.database_url.get_secret_value()
    database = await connect(url, application="orgs key rotation", sessions=1, hot=1)
    try:
        return await rotate(database, settings.ring(), sealed)
    except RotationRunning as running:
        sys.exit(str(running))
    finally:
        await database.close()


def read_settings(settings: type[_S]) -> _S:
    """Return the settings, or end the process saying what is wrong; never with the values, some are secret."""
    try:
        return settings()  # type: ignore[call-arg]  # the arguments come from the environment
    except ValidationError as invalid:
        for error in invalid.errors(include_input=False, include_url=False):
            name = str(error["loc"][0])
            # A field without a published name is told by its own.
            variable = name if name.isupper() else f"ORGS_{name.upper()}"
            print(f"{variable}: {error['msg']}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main(sys.argv[1:])
