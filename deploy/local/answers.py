"""What a running installation answers to the commands."""

from collections.abc import Mapping
from typing import Any

from deploy.local.errands import errand
from deploy.local.plan import Site
from deploy.local.secret_files import ENCRYPTION_KEYS
from deploy.local.supervisor import Supervisor


async def answer_to(
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
