"""python -m services.auth serve | migrate"""

import sys

from chassis.logging import configure
from chassis.process import run
from services.auth.serving import serve
from services.auth.settings import DatabaseSettings, Settings


def _migrate() -> None:
    # Alembic is large, and a server never migrates.
    from chassis.migrations import upgrade

    settings = DatabaseSettings()  # type: ignore[call-arg]  # read from the environment
    upgrade("services.auth", settings.database_url.get_secret_value())


def main() -> None:
    match sys.argv[1:]:
        case ["serve"]:
            configure("auth")
            settings = Settings()  # type: ignore[call-arg]  # read from the environment
            run(lambda stop: serve(settings, stop))
        case ["migrate"]:
            configure("auth migrate")
            _migrate()
        case _:
            sys.exit("usage: python -m services.auth serve | migrate")


if __name__ == "__main__":
    main()
