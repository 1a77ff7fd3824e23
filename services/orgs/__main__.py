"""`python -m services.orgs serve | migrate | rotate-keys`; the only place where the objects of this context are built."""

import asyncio
import json
import sys
from typing import TypeVar

from pydantic import ValidationError

from chassis import logging, metrics, process, purge
from chassis.db import Database, connect
from chassis.grpc import revocations
from chassis.grpc.caller import Identity, Trust, Verifier
from chassis.grpc.client import channel
from chassis.grpc.feed import Consumer, EventFeedServicer
from chassis.grpc.server import Server
from chassis.listen import Wakeups
from chassis.outbox import CHANNEL, Feed
from ratoon.auth.v1 import authentication_service_pb2
from ratoon.events.v1 import event_feed_service_pb2
from ratoon.events.v1.event_feed_service_pb2_grpc import add_EventFeedServiceServicer_to_server
from ratoon.orgs.v1 import member_service_pb2, organization_service_pb2, region_service_pb2
from ratoon.orgs.v1.member_service_pb2_grpc import add_MemberServiceServicer_to_server
from ratoon.orgs.v1.organization_service_pb2_grpc import add_OrganizationServiceServicer_to_server
from ratoon.orgs.v1.region_service_pb2_grpc import add_RegionServiceServicer_to_server
from services.orgs.commands import regions
from services.orgs.commands.suspensions import SUSPENSIONS
from services.orgs.events import from_auth
from services.orgs.servicer.members import MemberServicer
from services.orgs.servicer.organizations import OrganizationServicer
from services.orgs.servicer.regions import RegionServicer
from services.orgs.servicer.rotation import RotationRunning, rotate
from services.orgs.servicer.suspensions import end_suspensions
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
            sys.exit("usage: python -m services.orgs serve | migrate | rotate-keys")


def migrate(settings: DatabaseSettings) -> None:
    # Here, not above: the migration library is a fifth of a server's memory, and servers never migrate.
    from chassis.migrations import upgrade

    upgrade("services.orgs", settings.database_url.get_secret_value())


async def rotate_keys(settings: KeySettings) -> int:
    """Replace the encryption key; return how many secrets are sealed anew."""
    url = settings.database_url.get_secret_value()
    database = await connect(url, application="orgs key rotation", sessions=1, hot=1)
    try:
        return await rotate(database, settings.ring())
    except RotationRunning as running:
        sys.exit(str(running))
    finally:
        await database.close()


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; a background task that dies takes the process with it."""
    url = settings.database_url.get_secret_value()
    database = await connect(url, application="orgs")
    identity = Identity.load(settings.identity_file, "orgs")
    verifier = Verifier(Trust(settings.trust_file))
    wakeups, feed = Wakeups(url, "orgs"), Feed(database.pool)
    auth = channel(settings.auth_target, event_feed_service_pb2, authentication_service_pb2)
    consumer = Consumer("auth", auth, identity, database.sessions)
    try:
        await provide_default_region(database, settings)
        metrics.expose(settings.metrics_listen)
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(wakeups.run((CHANNEL, SUSPENSIONS))),
                group.create_task(consumer.run(from_auth)),
                # Nothing to drop at `stand`: what the verifier remembers, it would verify again.
                group.create_task(
                    revocations.follow(auth, identity, verifier.revoke, stand=lambda: None)
                ),
                group.create_task(purge.every_hour(feed, database)),
                group.create_task(end_suspensions(database.sessions, wakeups)),
            ]
            await build(database, verifier, wakeups, settings).serve(settings.listen, stop)
            for task in background:
                task.cancel()
    finally:
        await auth.close()
        await database.close()


def build(database: Database, verifier: Verifier, wakeups: Wakeups, settings: Settings) -> Server:
    """Return the server with all services of this context."""
    server = Server("orgs", verifier)
    organizations = OrganizationServicer(database, settings.defaults(), settings.ring())
    server.add(organization_service_pb2, add_OrganizationServiceServicer_to_server, organizations)
    server.add(member_service_pb2, add_MemberServiceServicer_to_server, MemberServicer(database))
    server.add(region_service_pb2, add_RegionServiceServicer_to_server, RegionServicer(database))
    feed = EventFeedServicer(Feed(database.pool), wakeups)
    server.add(event_feed_service_pb2, add_EventFeedServiceServicer_to_server, feed)
    return server


async def provide_default_region(database: Database, settings: Settings) -> None:
    async with database.sessions.begin() as session:
        await regions.provide_default(
            session,
            settings.region_id,
            settings.region_name,
            enforce_quotas=settings.region_enforce_quotas,
            totals=settings.defaults().region_totals,
        )


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
