"""Images made here: deterministic bytes in, a valid image out; one of Debian's packages."""

import gzip
import hashlib
import io
import json
import platform
import random
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


@dataclass(frozen=True)
class Content:
    """Some bytes, what they are and how they are called."""

    media_type: str
    data: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        return "sha256:" + hashlib.sha256(self.data).hexdigest()

    def descriptor(self, **extra: Any) -> dict[str, Any]:
        return {
            "mediaType": self.media_type,
            "digest": self.digest,
            "size": len(self.data),
            **extra,
        }


@dataclass(frozen=True)
class Image:
    """One image of one platform."""

    manifest: Content
    config: Content
    layers: tuple[Content, ...]

    @property
    def size(self) -> int:
        """Config and layers, as the registry serves them."""
        return len(self.config.data) + sum(len(layer.data) for layer in self.layers)

    @property
    def blobs(self) -> tuple[Content, ...]:
        return (self.config, *self.layers)


def image(
    layer_sizes: Sequence[int] = (40_000, 70_000, 5_000),
    *,
    seed: int = 1,
    docker: bool = False,
    architecture: str = "amd64",
    os: str = "linux",
    config: Mapping[str, Any] | None = None,
) -> Image:
    """An image whose layers are about as large (compressed) as `layer_sizes` says."""
    layers, diff_ids = [], []
    for number, size in enumerate(layer_sizes):
        archive = layer_tar(size, seed=seed * 1000 + number)
        diff_ids.append("sha256:" + hashlib.sha256(archive).hexdigest())
        layers.append(Content(DOCKER_LAYER if docker else OCI_LAYER, squeezed(archive)))
    return assemble(
        layers, diff_ids, docker=docker, architecture=architecture, os=os, config=config
    )


def assemble(
    layers: Sequence[Content],
    diff_ids: Sequence[str],
    *,
    docker: bool = False,
    architecture: str = "amd64",
    os: str = "linux",
    config: Mapping[str, Any] | None = None,
) -> Image:
    """An image of layers that exist already."""
    made = Content(
        DOCKER_CONFIG if docker else OCI_CONFIG,
        encoded(
            {
                "architecture": architecture,
                "os": os,
                "config": dict(config or {"Env": ["PATH=/bin"], "Cmd": ["/bin/true"]}),
                "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
                "history": [{"created_by": "tests"} for _ in diff_ids],
            }
        ),
    )
    return Image(manifest(made, layers, docker=docker), made, tuple(layers))


def manifest(config: Content, layers: Sequence[Content], *, docker: bool = False) -> Content:
    media_type = DOCKER_MANIFEST if docker else OCI_MANIFEST
    body = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": config.descriptor(),
        "layers": [layer.descriptor() for layer in layers],
    }
    return Content(media_type, encoded(body))


def index(
    entries: Sequence[tuple[Content, Mapping[str, str] | None]], *, docker: bool = False
) -> Content:
    """An index (or manifest list) of manifests and the platforms they are said to be for."""
    media_type = DOCKER_LIST if docker else OCI_INDEX
    manifests = [
        content.descriptor(**({"platform": dict(platform)} if platform else {}))
        for content, platform in entries
    ]
    body = {"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}
    return Content(media_type, encoded(body))


def layer_tar(size: int, *, seed: int) -> bytes:
    """A file system of one incompressible and one compressible file."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in (
            (f"data/{seed}.bin", _noise(size, seed)),
            (f"data/{seed}.txt", b"all work and no play\n" * (size // 100)),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return out.getvalue()


def _noise(size: int, seed: int) -> bytes:
    # In pieces: one call cannot make more than 256 MiB.
    source, piece = random.Random(seed), 1 << 24
    return b"".join(source.randbytes(min(piece, size - at)) for at in range(0, size, piece))


def squeezed(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=0)


def encoded(document: Any) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def of_archives(*archives: bytes, config: Mapping[str, Any] | None = None) -> Image:
    """An image of these file systems, lowest first."""
    diff_ids = ["sha256:" + hashlib.sha256(archive).hexdigest() for archive in archives]
    layers = [Content(OCI_LAYER, squeezed(archive)) for archive in archives]
    return assemble(layers, diff_ids, config=config)


def debian_archive(folder: Path, *packages: str) -> bytes:
    """A file system of Debian packages, from wherever this machine gets its own."""
    [sources, *_] = [
        *Path("/etc/apt").glob("sources.list.d/*.sources"),
        Path("/etc/apt/sources.list"),
    ]
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    archive = folder / "debian.tar"
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(packages)}"]
    subprocess.run([*command, suite, str(archive), str(sources)], check=True, timeout=240)
    return archive.read_bytes()
