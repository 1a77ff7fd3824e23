"""Run by the environment of PyPI daytona-api-client: registries, and a private image pulled with one. Prints JSON."""

import json
import os
import time

import daytona_api_client as api
from daytona_api_client.exceptions import ApiException

client = api.ApiClient(api.Configuration(host=os.environ["URL"], access_token=os.environ["KEY"]))
seen: dict[str, object] = {}
registries, snapshots = api.DockerRegistryApi(client), api.SnapshotsApi(client)


def ends_as(name: str) -> object:
    made = snapshots.create_snapshot(api.CreateSnapshot(name=name, image_name=os.environ["IMAGE"]))
    deadline = time.monotonic() + 60
    while made.state in ("pending", "pulling") and time.monotonic() < deadline:
        time.sleep(0.1)
        made = snapshots.get_snapshot(made.id)
    snapshots.remove_snapshot(made.id)
    return made.state


seen["before"] = ends_as("private-before")
hub = registries.create_registry(
    api.CreateDockerRegistry(
        name="hub", url="https://index.docker.io/v1/", username="me", password="p"
    )
)
seen["hub"] = [hub.url, hub.registry_type, hub.project]
made = registries.create_registry(
    api.CreateDockerRegistry(
        name="private",
        url=f"http://{os.environ['HOST']}/",
        username=os.environ["USERNAME"],
        password="wrong",
    )
)
seen["answered"] = sorted(made.to_dict())
seen["listed"] = [r.name for r in registries.list_registries()]
seen["wrong"] = ends_as("private-wrong")
changed = registries.update_registry(
    made.id,
    api.UpdateDockerRegistry(
        name="ours",
        url=os.environ["HOST"],
        username=os.environ["USERNAME"],
        password=os.environ["PASSWORD"],
    ),
)
seen["changed"] = [changed.name, changed.url == os.environ["HOST"]]
kept = api.UpdateDockerRegistry(
    name="kept", url=os.environ["HOST"], username=os.environ["USERNAME"]
)
seen["kept"] = registries.update_registry(made.id, kept).name
seen["got"] = registries.get_registry(made.id).name
seen["after"] = ends_as("private-after")
for registry in (hub, made):
    registries.delete_registry(registry.id)
try:
    registries.get_registry(made.id)
except ApiException as error:
    seen["deleted"] = error.status
access = registries.get_transient_push_access(region_id="us")
seen["access"] = sorted(name for name, value in access.to_dict().items() if value)
seen["left"] = registries.list_registries()
print(json.dumps(seen))
