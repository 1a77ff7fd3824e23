"""Run by the environment of PyPI daytona: a snapshot built from local files, unmodified. Prints what it saw as JSON."""

import json
import os

from daytona import CreateSnapshotParams, Daytona, DaytonaConfig, Image

daytona = Daytona(DaytonaConfig(api_key=os.environ["KEY"], api_url=os.environ["URL"]))
image = Image.base(os.environ["IMAGE"]).add_local_dir(os.environ["FOLDER"], "/app")
logs: list[str] = []
made = daytona.snapshot.create(
    CreateSnapshotParams(name=os.environ["NAME"], image=image), on_logs=logs.append, timeout=300
)
print(json.dumps({"state": made.state, "size": made.size, "logs": logs}))
