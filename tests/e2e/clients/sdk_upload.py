"""Run by the environment of PyPI daytona: its uploads of build contexts, unmodified. Prints what it saw as JSON."""

import json
import os

from daytona import Daytona, DaytonaConfig, Image
from daytona._sync.object_storage import ObjectStorage
from daytona._sync.snapshot import SnapshotService
from daytona_api_client import ObjectStorageApi
from obstore.store import S3Store

daytona = Daytona(DaytonaConfig(api_key=os.environ["KEY"], api_url=os.environ["URL"]))
storage: ObjectStorageApi = daytona._object_storage_api
puts: list[str] = []
upload = ObjectStorage._upload_as_tar


def noted(self: ObjectStorage, key: str, *rest: str) -> None:
    puts.append(key)
    upload(self, key, *rest)


ObjectStorage._upload_as_tar = noted
folder = os.environ["FOLDER"]
image = Image.base("debian:12").add_local_dir(folder, "/app")
image = image.add_local_file(folder + "/main.py", "/main.py")
first = SnapshotService.process_image_context(storage, image)
uploaded = list(puts)
second = SnapshotService.process_image_context(storage, image)
access = storage.get_push_access()
store = S3Store(
    bucket=access.bucket,
    endpoint=access.storage_url,
    region=access.region,
    access_key_id=access.access_key,
    secret_access_key=access.secret,
    session_token=access.session_token,
)
listed = sorted(o["path"] for batch in store.list(access.organization_id) for o in batch)
print(
    json.dumps(
        {
            "hashes": first,
            "again": second,
            "uploaded": uploaded,
            "uploaded again": puts[len(uploaded) :],
            "organization": access.organization_id,
            "listed": listed,
            "dockerfile": image.dockerfile(),
        }
    )
)
