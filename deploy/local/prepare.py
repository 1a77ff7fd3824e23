"""What must be there before anything starts: made at the first start, found at later ones."""

import asyncio
from pathlib import Path

from deploy.local import edge, registry
from deploy.local.account import database_account
from deploy.local.binaries import SHARED, find_postgres, find_weed
from deploy.local.builds import why_not
from deploy.local.calls import certify, make_identities, make_registry_key
from deploy.local.options import Options
from deploy.local.plan import METRICS, Site, own_server, own_storage
from deploy.local.ports import choose
from deploy.local.postgres import Cluster, clear_leftovers, initialise, place_for_data
from deploy.local.secret_files import CONTEXTS, database_secrets, make_own
from deploy.local.state import runtime_folder
from deploy.local.storage import PORTS, Storage

_BEHIND = ("gateway-behind-edge",)


async def prepare(options: Options) -> Site:
    """Make what the first start needs and find what later ones have."""
    home, environ = options.home, options.environ
    make_own(home, environ)
    runtime = runtime_folder(home, "services")
    embedded = not all(own_server(context, environ) for context in CONTEXTS)
    asked = asyncio.create_task(asyncio.to_thread(why_not, environ))
    work = [asyncio.to_thread(make_identities, home, environ)]
    found = registry.program(environ)
    if found:
        work.append(asyncio.to_thread(make_registry_key, home, environ))
    cluster, secrets = None, None
    if embedded:
        secrets = database_secrets(home)
        cluster = _cluster(options)
        work.append(asyncio.to_thread(initialise, cluster, secrets["postgres"].password))
    storing = options.object_storage and not own_storage(environ)
    if storing:
        work.append(asyncio.to_thread(certify, home, environ))
    await asyncio.gather(*work)
    storing_at = PORTS if storing else ()
    names = (*METRICS, "registry", *storing_at, *(_BEHIND if options.edge else ()))
    ports = choose(options.port + 1, names)
    gateway = ports.get("gateway-behind-edge", options.port)
    command = edge.command(runtime, options.port, gateway) if options.edge else ()
    pushed = ports["registry"]
    own = registry.command(home, runtime, found, options.port, pushed) if found else ()
    storage = Storage(home, find_weed(), runtime, ports) if storing else None
    if storage is not None:
        storage.prepare()
    return Site(
        home=home,
        port=options.port,
        runtime=runtime,
        environ=environ,
        metrics=ports,
        gateway_port=gateway,
        edge_command=command,
        registry_command=own,
        registry_port=pushed,
        cluster=cluster,
        secrets=secrets,
        storage=storage,
        no_builder=await asked,
    )


def _cluster(options: Options) -> Cluster:
    """Find the cluster of this state folder, or decide where it will be; both are on record from then on."""
    home = options.home
    account = database_account()
    record = home.read("postgres.json")
    chosen = options.postgres_bin
    if chosen is None and record.get("binaries"):
        chosen = Path(record["binaries"])
    binaries = find_postgres(account, chosen)
    data = place_for_data(home.path, account, record.get("data"), SHARED)
    found = {"data": str(data), "binaries": str(chosen) if chosen else None}
    if record != found:
        home.write("postgres.json", found)
    clear_leftovers(data)
    return Cluster(binaries, account, data, runtime_folder(home, "database", owner=account.uid))
