"""Run by the environment of PyPI daytona: the synchronous client, unmodified. Prints what it saw as JSON."""

import json
import os

from daytona import CreateSnapshotParams, Daytona, DaytonaConfig
from daytona.common.errors import DaytonaError, DaytonaNotFoundError
from daytona_api_client.exceptions import ApiException

image = os.environ["IMAGE"]
daytona = Daytona(DaytonaConfig(api_key=os.environ["KEY"], api_url=os.environ["URL"]))
logs: list[str] = []
made = daytona.snapshot.create(
    CreateSnapshotParams(name="sdk/sync:1", image=image), on_logs=logs.append, timeout=60
)
listed = daytona.snapshot.list(page=1, limit=10)
by_name, by_id = daytona.snapshot.get("sdk/sync:1"), daytona.snapshot.get(made.id)
failed = ""
try:
    daytona.snapshot.create(
        CreateSnapshotParams(name="sdk/unknown", image=image.replace("small:1", "absent:1")),
        timeout=60,
    )
except DaytonaError as error:
    failed = str(error)
again = ""
try:
    daytona.snapshot.activate(made)
except ApiException as error:
    again = str(error)
daytona.snapshot.delete("sdk/unknown")
daytona.snapshot.delete(made)
missing = False
try:
    daytona.snapshot.get("sdk/never")
except DaytonaNotFoundError:
    missing = True
print(
    json.dumps(
        {
            "state": made.state,
            "entrypoint": made.entrypoint,
            "size": made.size,
            "logs": logs,
            "names": [s.name for s in listed.items],
            "total": listed.total,
            "same": by_name.id == by_id.id == made.id,
            "failed": failed,
            "again": again,
            "missing": missing,
        }
    )
)
