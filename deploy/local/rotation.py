"""A new encryption key for orgs, while it runs."""

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import Any

from deploy.local.plan import Site, context_environment, python_command


async def rotate(site: Site) -> dict[str, Any]:
    """Have orgs change its encryption key, told what the running orgs was told; return what it answers, or `error`."""
    child = await asyncio.create_subprocess_exec(
        *python_command("services.orgs", "rotate-keys"),
        stdout=PIPE,
        stderr=PIPE,
        cwd="/",
        env=context_environment(site, "orgs"),
    )
    said, complaint = await child.communicate()
    if child.returncode != 0:
        lines = complaint.decode().strip().splitlines() or [f"exit code {child.returncode}"]
        return {"error": f"the key could not be changed: {lines[-1]}"}
    answer: dict[str, Any] = json.loads(said)
    return answer
