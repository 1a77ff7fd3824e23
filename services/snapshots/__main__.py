"""python -m services.snapshots serve | work | build | migrate | audit [--every-byte] | rotate-keys"""

import asyncio
import json
import sys

from chassis.db import connect
from chassis.logging import configure
from chassis.process import run
from chassis.rotation import RotationRunning, rotate
from services.snapshots.commands import sealed
from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.settings import DatabaseSettings, KeySettings, Settings


def _serve() -> None:
    # What a server needs, the others do not.
    from services.snapshots.serving import serve

    settings = Settings()  # type: ignore[call-arg]  # read from the environment
    run(lambda stop: serve(settings, ContextsSettings(), stop))


def _migrate() -> None:
    # Alembic is large, and a server never migrates.
    from chassis.migrations import upgrade

    settings = DatabaseSettings()  # type: ignore[call-arg]  # read from the environment
    upgrade("services.snapshots", settings.database_url.get_secret_value())


async def _rotate_keys(settings: KeySettings) -> int:
    """Replace the encryption key; return how many secrets are sealed anew."""
    url = settings.database_url.get_secret_value()
    database = await connect(url, application="snapshots key rotation", sessions=1, hot=1)
    try:
        return await rotate(database, settings.ring(), sealed)
    except RotationRunning as running:
        sys.exit(str(running))
    finally:
        await database.close()


def _work() -> None:
    # What a worker needs, a server does not.
    from services.snapshots.worker.process import work
    from services.snapshots.worker.settings import WorkerSettings

    settings = WorkerSettings()  # type: ignore[call-arg]  # read from the environment
    run(lambda stop: work(settings, stop, ContextsSettings()))


def _audit(*, every_byte: bool) -> None:
    from services.snapshots.worker.audit import audit
    from services.snapshots.worker.settings import AuditSettings

    settings = AuditSettings()  # type: ignore[call-arg]  # read from the environment
    print(json.dumps(asyncio.run(audit(settings, ContextsSettings(), every_byte=every_byte))))


def _build() -> None:
    # What a builder needs, nobody else does.
    from services.snapshots.builder.process import build
    from services.snapshots.builder.settings import BuilderSettings

    settings = BuilderSettings()  # type: ignore[call-arg]  # read from the environment
    run(lambda stop: build(settings, ContextsSettings(), stop))


def main() -> None:
    match sys.argv[1:]:
        case ["serve"]:
            configure("snapshots")
            _serve()
        case ["work"]:
            configure("snapshots worker")
            _work()
        case ["build"]:
            configure("snapshots builder")
            _build()
        case ["migrate"]:
            configure("snapshots migrate")
            _migrate()
        case ["audit", *options] if options in ([], ["--every-byte"]):
            configure("snapshots audit")
            _audit(every_byte=bool(options))
        case ["rotate-keys"]:
            configure("snapshots key rotation")
            keys = KeySettings()  # type: ignore[call-arg]  # read from the environment
            print(json.dumps({"resealed": asyncio.run(_rotate_keys(keys))}))
        case _:
            sys.exit(f"usage: {__doc__}")


if __name__ == "__main__":
    main()
