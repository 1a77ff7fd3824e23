"""An image's config: what runs in it, and what it runs on."""

from dataclasses import dataclass

from services.snapshots.images import documents
from services.snapshots.images.documents import Document, invalid
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.images.manifests import ARCHITECTURE, OS


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The part of an image's config that a sandbox is made from."""

    os: str
    architecture: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    labels: dict[str, str]
    working_dir: str
    user: str


def read(document: Document, *, layer_count: int) -> ImageConfig:
    """Read a config; refuses one of another platform or of other layers than the manifest's."""
    os = documents.text(document, "os", "config")
    architecture = documents.text(document, "architecture", "config")
    if (os, architecture) != (OS, ARCHITECTURE):
        found = f"{os or '?'}/{architecture or '?'}"[:80]
        raise PullFailed(Code.IMAGE_PLATFORM_MISSING, f"the image is for {found} only")
    if len(diff_ids(document)) != layer_count:
        invalid("its config and its manifest disagree on the number of layers")
    run = documents.part(document, "config", "config")
    return ImageConfig(
        os=os,
        architecture=architecture,
        entrypoint=documents.texts(run, "Entrypoint", "config"),
        cmd=documents.texts(run, "Cmd", "config"),
        env=documents.texts(run, "Env", "config"),
        labels=documents.mapping(run, "Labels", "config"),
        working_dir=documents.text(run, "WorkingDir", "config"),
        user=documents.text(run, "User", "config"),
    )


def diff_ids(document: Document) -> tuple[str, ...]:
    """Return the digests of the unpacked layers, lowest first."""
    file_system = documents.part(document, "rootfs", "config")
    return documents.texts(file_system, "diff_ids", "config")
