"""What a context does once, while it runs, when the operator asks for it: told what the running context was told."""

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import Any

from deploy.local.plan import Site, context_environment, python_command


async def errand(site: Site, context: str, *words: str) -> dict[str, Any]:
    """Run a command of a context; return what it answers, or `error`."""
    child = await asyncio.create_subprocess_exec(
        *python_command(f"services.{context}", *words),
        stdout=PIPE,
        stderr=PIPE,
        cwd="/",
        env=context_environment(site, context),
    )
    said, complaint = await child.communicate()
    if child.returncode != 0:
        lines = complaint.decode().strip().splitlines() or [f"exit code {child.returncode}"]
        return {"error": f"{context} could not do it: {lines[-1]}"}
    answer: dict[str, Any] = json.loads(said)
    return answer
