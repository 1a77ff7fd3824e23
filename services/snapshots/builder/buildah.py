"""buildah: its configuration, which is all ours, and the commands that a build consists of."""

import json
import shlex
from base64 import b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path

import certifi

from services.snapshots.builder import network
from services.snapshots.builder.possible import GVISOR
from services.snapshots.builder.tree import environment, python
from services.snapshots.domain.credentials import Credential
from services.snapshots.store.digests import InvalidDigest, digest_of, hex_of

IMAGE = "localhost/built:now"
# Docker Hub is called so in files of credentials.
_DOCKER_HUB = ("docker.io", "https://index.docker.io/v1/")


class Buildah:
    """The commands of one build: `layers` is its organization's storage, `job` its own folder."""

    def __init__(self, layers: Path, job: Path, isolation: str) -> None:
        self._job, self._isolation = job, isolation
        self.context, self.packed = job / "context", job / "packed"
        self._dockerfile, self._auth = job / "Dockerfile", job / "auth.json"
        storage = ("--root", str(layers), "--runroot", str(job / "run"))
        self._containers = layers / "overlay-containers" / "containers.json"
        self._images, self._made = layers / "overlay-images", job / "made"
        self._buildah = ["buildah", "--storage-driver", "overlay", *storage]

    def prepare(
        self, dockerfile: str, *, insecure: Iterable[str], ca: Path | None
    ) -> Mapping[str, str]:
        """Write the files that it reads, and return the environment that points to them."""
        for folder in (self.context, self.packed, self._job / "tmp"):
            folder.mkdir()
        self._dockerfile.write_text(dockerfile)
        registries = [
            'unqualified-search-registries = ["docker.io"]',
            'short-name-mode = "disabled"',
        ]
        for host in sorted(insecure):
            registries += ["[[registry]]", f"location = {json.dumps(host)}", "insecure = true"]
        pointers = {
            "CONTAINERS_REGISTRIES_CONF": ("registries.conf", "\n".join(registries) + "\n"),
            "CONTAINERS_STORAGE_CONF": ("storage.conf", '[storage]\ndriver = "overlay"\n'),
            "CONTAINERS_CONF": ("containers.conf", ""),
        }
        extra = {}
        for name, (file, text) in pointers.items():
            (self._job / file).write_text(text)
            extra[name] = str(self._job / file)
        (self._job / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        if ca is not None:
            both = self._job / "ca.pem"
            both.write_bytes(Path(certifi.where()).read_bytes() + b"\n" + ca.read_bytes())
            extra["SSL_CERT_FILE"] = str(both)
        if self._isolation == GVISOR:
            runtime = self._job / "runtime"
            command = shlex.join(python("runtime", str(self._job)))
            runtime.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
            runtime.chmod(0o700)
        return environment(self._job, extra)

    def permit(self, credential: Credential) -> None:
        """Have the next pulls show this credential to its registry, and no other."""
        pair = b64encode(f"{credential.username}:{credential.secret}".encode()).decode()
        names = _DOCKER_HUB if credential.host == _DOCKER_HUB[0] else (credential.host,)
        self._write_auth({name: {"auth": pair} for name in names})

    def forget(self) -> None:
        """Have the next pulls show nothing."""
        self._write_auth({})

    def _write_auth(self, auths: Mapping[str, object]) -> None:
        self._auth.unlink(missing_ok=True)
        self._auth.touch(mode=0o600)
        self._auth.write_text(json.dumps({"auths": auths}))

    def remove_auth(self) -> None:
        self._auth.unlink(missing_ok=True)

    def is_clean(self) -> bool:
        """Tell whether no earlier build left a container; most do not."""
        return not self._containers.exists() or self._containers.read_text().strip() in ("", "[]")

    @property
    def clean(self) -> list[str]:
        """Drop containers that an earlier build left."""
        return [*self._buildah, "rm", "--all"]

    def pull(self, image: str) -> list[str]:
        options = ("--quiet", "--policy", "always", "--authfile", str(self._auth))
        return [*self._buildah, "pull", *options, *self._policy, "--", image]

    def config_of(self, image_id: str) -> bytes | None:
        """Return the config of an image that is here, which its id is the digest of; None of one with another kind of id.

        Read where it is kept: to have it told takes longer than a step that is cached.
        """
        digest = f"sha256:{image_id}"
        name = "=" + b64encode(digest.encode()).decode()
        try:
            config = (self._images / hex_of(digest) / name).read_bytes()
        except (FileNotFoundError, InvalidDigest):
            return None
        return config if digest_of(config) == digest else None

    @property
    def made(self) -> str:
        """Return the id of the image that was built."""
        return self._made.read_text().strip().removeprefix("sha256:")

    @property
    def build(self) -> list[str]:
        """Build, with the layers that are there and what was pulled, and nothing else from any registry."""
        words = [
            *self._buildah,
            "bud",
            "--layers",
            "--pull=never",
            "--http-proxy=false",
            *self._policy,
        ]
        words += ["--format", "oci", "--platform", "linux/amd64"]
        if self._isolation == GVISOR:
            words += ["--isolation", "oci", "--network", "host", "--dns", network.NAMESERVER]
            words += ["--runtime", str(self._job / "runtime")]
        else:
            words += ["--isolation", "chroot"]
        made = ("--tag", IMAGE, "--iidfile", str(self._made))
        return [*words, "--file", str(self._dockerfile), *made, str(self.context)]

    @property
    def _policy(self) -> tuple[str, str]:
        return ("--signature-policy", str(self._job / "policy.json"))
