"""A pull in a process of its own: `python -m … IMAGE STORE [OWNER]`; prints what it came to."""

import asyncio
import json
import resource
import sys
from collections.abc import Set
from pathlib import Path

from services.snapshots.images.http import Http
from services.snapshots.images.progress import Phase, Progress
from services.snapshots.images.puller import ImagePlan, Puller
from services.snapshots.store.layout import OciLayoutStore


async def main(image: str, root: str, owner: str = "org") -> None:
    first: list[int] = []

    def report(progress: Progress) -> None:
        if progress.phase is Phase.DOWNLOADING:
            first.append(progress.bytes_done)
            print("at", progress.bytes_done, flush=True)

    async def plan(_plan: ImagePlan) -> Set[str]:
        return frozenset()

    async with Http(insecure_hosts=frozenset({image.partition("/")[0]})) as http:
        puller = Puller(http, OciLayoutStore(Path(root)))
        pulled = await puller.pull(image, owner=owner, plan=plan, report=report)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"digest": pulled.manifest_digest, "peak_kib": peak}), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
