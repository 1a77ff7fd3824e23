"""A private `docker-registry` on a free loopback port, and images put into it."""

import re
import subprocess
import tempfile
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tests.images import Content, Image

# bcrypt of PASSWORD, so that no bcrypt library is needed to make the file.
USER = "puller"
PASSWORD = "correct horse"
HTPASSWD = "puller:$2y$05$abcdefghijklmnopqrstuuHNbAKRhpaujgo33bRWs.NLUTJO3lOy2\n"

CONFIG = """\
version: 0.1
log:
  level: info
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: {root}/data
  delete:
    enabled: true
http:
  addr: 127.0.0.1:0
{auth}"""
AUTH = """\
auth:
  htpasswd:
    realm: ratoon
    path: {root}/htpasswd
"""


@dataclass(frozen=True)
class Registry:
    """A registry that runs."""

    host: str
    root: Path
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    def push(self, repository: str, tag: str, image: Image) -> str:
        """Store an image under `repository:tag` and return its manifest digest."""
        for blob in image.blobs:
            self.push_blob(repository, blob)
        return self.push_manifest(repository, tag, image.manifest)

    def push_blob(self, repository: str, blob: Content) -> None:
        status, location = self._send("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, status
        target = urlsplit(location)
        query = f"{target.query}&digest={blob.digest}"
        status, _ = self._send("PUT", f"{target.path}?{query}", blob.data)
        assert status == 201, status

    def push_manifest(self, repository: str, reference: str, manifest: Content) -> str:
        path = f"/v2/{repository}/manifests/{reference}"
        status, _ = self._send("PUT", path, manifest.data, manifest.media_type)
        assert status == 201, status
        return manifest.digest

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        content_type: str = "application/octet-stream",
    ) -> tuple[int, str]:
        headers = {"Content-Type": content_type}
        if self.credentials:
            headers["Authorization"] = (
                "Basic " + b64encode(":".join(self.credentials).encode()).decode()
            )
        connection = HTTPConnection(self.host, timeout=60)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            response.read()
            return response.status, response.getheader("Location", "")
        finally:
            connection.close()


@contextmanager
def running_registry(*, password: bool = False, extra: str = "") -> Iterator[Registry]:
    """Start a registry, anonymous or with `USER` and `PASSWORD`, and stop it at the end."""
    with tempfile.TemporaryDirectory(prefix="registry-") as folder:
        root = Path(folder)
        (root / "htpasswd").write_text(HTPASSWD)
        auth = AUTH.format(root=root) if password else extra
        (root / "config.yml").write_text(CONFIG.format(root=root, auth=auth))
        command = ["docker-registry", "serve", str(root / "config.yml")]
        with subprocess.Popen(
            command, stderr=subprocess.STDOUT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            drain = threading.Thread(target=deque, args=(process.stdout, 0))
            try:
                host = _listening(process.stdout)
                drain.start()
                yield Registry(host, root, (USER, PASSWORD) if password else None)
            finally:
                process.terminate()
                if drain.ident is not None:
                    drain.join(20)


def _listening(log: IO[str]) -> str:
    """The address the registry says it listens on."""
    seen = []
    for line in log:
        seen.append(line)
        if found := re.search(r"listening on (127\.0\.0\.1:\d+)", line):
            return found[1]
    raise AssertionError("docker-registry did not start:\n" + "".join(seen))
