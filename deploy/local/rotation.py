"""New encryption keys for the contexts that seal secrets, while they run."""

import asyncio
import json
from asyncio.subprocess import PIPE
from typing import Any

from deploy.local.plan import Site, context_environment, python_command
from deploy.local.secret_files import ENCRYPTION_KEYS


async def rotate(site: Site) -> dict[str, Any]:
    """Have each context change its encryption key; return how much was sealed anew, or `error`."""
    resealed = 0
    for context in ENCRYPTION_KEYS:
        answer = await _rotate_one(site, context)
        if "error" in answer:
            return answer
        resealed += answer["resealed"]
    return {"resealed": resealed}


async def _rotate_one(site: Site, context: str) -> dict[str, Any]:
    """Run the context's own command, told what the running context was told."""
    child = await asyncio.create_subprocess_exec(
        *python_command(f"services.{context}", "rotate-keys"),
        stdout=PIPE,
        stderr=PIPE,
        cwd="/",
        env=context_environment(site, context),
    )
    said, complaint = await child.communicate()
    if child.returncode != 0:
        lines = complaint.decode().strip().splitlines() or [f"exit code {child.returncode}"]
        return {"error": f"the key of {context} could not be changed: {lines[-1]}"}
    answer: dict[str, Any] = json.loads(said)
    return answer
