"""`ratoon up`: prepares the state folder, brings everything up, says so, and stays until it is told to stop."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local import banner, control, edge, registry
from deploy.local.account import database_account
from deploy.local.binaries import SHARED, find_postgres, find_weed
from deploy.local.builds import why_not
from deploy.local.environment import for_room
from deploy.local.errands import errand
from deploy.local.failures import Failure
from deploy.local.plan import METRICS, Site, own_server, own_storage, plan, python_command
from deploy.local.ports import LOOPBACK, choose, require_free
from deploy.local.postgres import Cluster, clear_leftovers, initialise, place_for_data
from deploy.local.secret_files import (
    CONTEXTS,
    ENCRYPTION_KEYS,
    database_secrets,
    make_own,
    refuse_placeholders,
)
from deploy.local.state import Home, runtime_folder, socket_path, take_lock
from deploy.local.storage import PORTS, Storage
from deploy.local.supervisor import Supervisor

ADMIN_EMAIL = "admin@ratoon.internal"
_BEHIND = ("gateway-behind-edge",)
_RENEW_SECONDS = 12 * 3600.0


@dataclass(frozen=True, slots=True)
class Options:
    """What `up` was asked for."""

    home: Home
    port: int
    edge: bool
    object_storage: bool
    postgres_bin: Path | None
    admin_email: str
    environ: Mapping[str, str]


Tell = Callable[[str], None]


def run(options: Options, tell: Tell, *, quiet: bool) -> None:
    """Run until asked to stop. `tell` gets the text for the operator once all is healthy."""
    options.home.prepare()
    lock = take_lock(options.home)
    try:
        asyncio.run(_run(options, tell, Journal(options.home.logs / "supervisor.log", quiet=quiet)))
    finally:
        os.close(lock)


class Journal:
    """What the supervisor says: always into its log, and on the console unless it is detached."""

    def __init__(self, path: Path, *, quiet: bool) -> None:
        self._out = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._quiet = quiet

    def __call__(self, sentence: str) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = json.dumps({"time": now, "logger": "supervisor", "message": sentence})
        os.write(self._out, line.encode() + b"\n")
        if not self._quiet:
            print(f"{now[11:19]} {sentence}", file=sys.stderr, flush=True)


async def _run(options: Options, tell: Tell, say: Journal) -> None:
    refuse_placeholders(options.environ)
    require_free(options.port)
    site = await _prepare(options)
    supervisor = Supervisor(plan(site), site.runtime, options.home.logs, say)
    supervisor.watch_signals()
    facts = _facts(options)
    server = await control.serve(site.runtime, partial(_answer, supervisor, site, facts))
    administrator = asyncio.create_task(_administrator(supervisor, options))
    renewal = asyncio.create_task(_renew_for_ever(site, say))
    try:
        if not await supervisor.boot():
            return
        admin = await administrator
        tell(banner.ready(facts["url"], admin["email"], admin["secret"], edge=options.edge))
        say(f"all is healthy at {facts['url']}")
        await supervisor.stopping.wait()
    finally:
        administrator.cancel()
        renewal.cancel()
        await supervisor.stop()
        if site.storage is not None:
            site.storage.clear()
        server.close()
        control.remove(site.runtime)
        say("all has stopped")


async def _administrator(supervisor: Supervisor, options: Options) -> dict[str, Any]:
    """Have auth make the administrator as soon as it can, while the rest is still coming up."""
    await supervisor.ready("auth", "orgs")
    return await asyncio.to_thread(
        call_operator, options.home, options.environ, "ensure-admin", "--email", options.admin_email
    )


async def _prepare(options: Options) -> Site:
    """Make what the first start needs and find what later ones have."""
    home, environ = options.home, options.environ
    make_own(home, environ)
    runtime = runtime_folder(home, "services")
    embedded = not all(own_server(context, environ) for context in CONTEXTS)
    asked = asyncio.create_task(asyncio.to_thread(why_not, environ))
    work = [asyncio.to_thread(_identities, home, environ)]
    found = registry.program(environ)
    if found:
        work.append(asyncio.to_thread(_registry_key, home, environ))
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


def _identities(home: Home, environ: Mapping[str, str]) -> None:
    if not (home.secrets / "trust.json").exists():
        _child(environ, "identities", str(home.secrets))


def _registry_key(home: Home, environ: Mapping[str, str]) -> None:
    if not (home.secrets / registry.CERTIFICATE).exists():
        _child(environ, "registry-key", str(home.secrets))


def call_operator(
    home: Home, environ: Mapping[str, str], command: str, *arguments: str
) -> dict[str, Any]:
    """Call auth as the operator of this installation, in a child process."""
    runtime = home.read("runtime.json").get("services", "")
    target = f"unix:{socket_path(Path(runtime), 'auth.sock')}"
    identity = str(home.secrets / "identity-operator.pem")
    said = _child(environ, command, "--target", target, "--identity", identity, *arguments)
    answer: dict[str, Any] = json.loads(said)
    return answer


def certify(home: Home, environ: Mapping[str, str]) -> None:
    """Make the certificates that are missing or about to end, in a child process."""
    done = subprocess.run(
        python_command("deploy.local.certificates", str(home.tls)),
        capture_output=True,
        text=True,
        env=for_room("operator", environ),
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Failure(f"no certificates could be made: {lines[-1]}")


async def _renew_for_ever(site: Site, say: Journal) -> None:
    """Renew certificates in time; the storage reads them again by itself, every few hours."""
    while site.storage is not None:
        await asyncio.sleep(_RENEW_SECONDS)
        try:
            await asyncio.to_thread(certify, site.home, site.environ)
        except Failure as failure:
            say(str(failure))


def _child(environ: Mapping[str, str], *arguments: str) -> str:
    """Run the operator's helper and return what it printed."""
    done = subprocess.run(
        (sys.executable, "-P", "-m", "deploy.local.operator", *arguments),
        capture_output=True,
        text=True,
        env=for_room("operator", environ),
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise Failure(f"{arguments[0]} failed: {lines[-1]}")
    return done.stdout


def _facts(options: Options) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "home": str(options.home.path),
        "port": options.port,
        "url": f"http://{LOOPBACK}:{options.port}/api",
        "edge": options.edge,
    }


async def _answer(
    supervisor: Supervisor, site: Site, facts: Mapping[str, Any], request: dict[str, Any]
) -> dict[str, Any]:
    wanted = request.get("do")
    if wanted == "down":
        supervisor.ask_to_stop()
        if request.get("fast"):
            supervisor.ask_to_stop()
        return {"state": "stopping"}
    if wanted == "status":
        if seconds := request.get("wait"):
            await supervisor.settle(float(seconds))
        return {**facts, **supervisor.status()}
    if wanted == "rotate-encryption":
        return await _rotate(site)
    if wanted == "audit":
        return await errand(
            site, "snapshots", "audit", *(["--every-byte"] if request.get("everyByte") else [])
        )
    return {"error": f"unknown request {wanted!r}"}


async def _rotate(site: Site) -> dict[str, Any]:
    """Have each context that seals secrets change its key; return how many were sealed anew, or `error`."""
    resealed = 0
    for context in ENCRYPTION_KEYS:
        answer = await errand(site, context, "rotate-keys")
        if "error" in answer:
            return answer
        resealed += answer["resealed"]
    return {"resealed": resealed}
