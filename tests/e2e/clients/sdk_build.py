"""Run by the environment of PyPI daytona: a build by the synchronous client, unmodified. Prints what it saw as JSON."""

import json
import os

from daytona import CreateSnapshotParams, Daytona, DaytonaConfig, Image
from daytona.common.errors import DaytonaError

base = os.environ["IMAGE"]
daytona = Daytona(DaytonaConfig(api_key=os.environ["KEY"], api_url=os.environ["URL"]))
logs: list[str] = []
image = Image.base(base).run_commands("echo hello from the build", "echo and goodbye")
made = daytona.snapshot.create(
    CreateSnapshotParams(name="sdk/built", image=image), on_logs=logs.append, timeout=120
)
failing: list[str] = []
failed = ""
try:
    daytona.snapshot.create(
        CreateSnapshotParams(name="sdk/broken", image=Image.base(base).run_commands("exit 7")),
        on_logs=failing.append,
        timeout=120,
    )
except DaytonaError as error:
    failed = str(error)
print(
    json.dumps(
        {
            "state": made.state,
            "entrypoint": made.entrypoint,
            "log": "\n".join(logs),
            "failed": failed,
            "failing": "\n".join(failing),
        }
    )
)
