"""`ratoon up`: prepares the state folder, brings everything up, says so, and stays until it is told to stop."""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local import banner, control
from deploy.local.answers import answer_to
from deploy.local.calls import call_operator, certify
from deploy.local.failures import Failure
from deploy.local.options import Options
from deploy.local.plan import Site, plan
from deploy.local.ports import LOOPBACK, require_free
from deploy.local.prepare import prepare
from deploy.local.secret_files import refuse_placeholders
from deploy.local.state import take_lock
from deploy.local.supervisor import Supervisor

_RENEW_SECONDS = 12 * 3600.0

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
    site = await prepare(options)
    supervisor = Supervisor(plan(site), site.runtime, options.home.logs, say)
    supervisor.watch_signals()
    facts = _facts(options)
    server = await control.serve(site.runtime, partial(answer_to, supervisor, site, facts))
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


async def _renew_for_ever(site: Site, say: Journal) -> None:
    """Renew certificates in time; the storage reads them again by itself, every few hours."""
    while site.storage is not None:
        await asyncio.sleep(_RENEW_SECONDS)
        try:
            await asyncio.to_thread(certify, site.home, site.environ)
        except Failure as failure:
            say(str(failure))


def _facts(options: Options) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "home": str(options.home.path),
        "port": options.port,
        "url": f"http://{LOOPBACK}:{options.port}/api",
        "edge": options.edge,
    }
