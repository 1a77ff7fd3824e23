"""Manifests and indexes: which blobs make the image, and which image is for our platform."""

from dataclasses import dataclass

from services.snapshots.images import documents
from services.snapshots.images.documents import Document, invalid
from services.snapshots.images.failures import Code, PullFailed
from services.snapshots.store.digests import InvalidDigest, digest_of, hex_of

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
ACCEPTED = (OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST)

LARGEST_MANIFEST = 4 << 20
LARGEST_CONFIG = 8 << 20
MOST_LAYERS = 500
_LARGEST_BLOB = 1 << 50

_INDEXES = {OCI_INDEX, DOCKER_LIST}
_MANIFESTS = {OCI_MANIFEST, DOCKER_MANIFEST}
_CONFIGS = {
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
}
_OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
_OCI_FOREIGN = "application/vnd.oci.image.layer.nondistributable.v1.tar"
_LAYERS = {
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    *(layer + pack for layer in (_OCI_LAYER, _OCI_FOREIGN) for pack in ("", "+gzip", "+zstd")),
}
OS, ARCHITECTURE = "linux", "amd64"
# Later baselines of the architecture would not run on every machine; v2 does on all still alive.
_VARIANTS = ("", "v1", "v2")


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Some content by type, digest and size."""

    media_type: str
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """A manifest or index as the registry served it."""

    media_type: str
    data: bytes

    @property
    def digest(self) -> str:
        return digest_of(self.data)

    @property
    def is_index(self) -> bool:
        return self.media_type in _INDEXES


@dataclass(frozen=True, slots=True)
class Manifest:
    """The parts of one image, the layers each once and in order of first use; `order` names them lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]
    order: tuple[str, ...]

    @property
    def total_bytes(self) -> int:
        return self.config.size + sum(layer.size for layer in self.layers)


def identified(data: bytes, content_type: str) -> Fetched:
    """Decide what a document is; refuses what is neither manifest nor index, or could be both."""
    document = _manifest_document(data, content_type)
    if document.get("schemaVersion") == 1 or "docker.distribution.manifest.v1" in content_type:
        invalid("the image has the old manifest format (schema 1), which has no digests of its own")
    media_type = documents.text(document, "mediaType", "manifest") or content_type
    if content_type in ACCEPTED and content_type != media_type:
        invalid(f"the manifest says it is {media_type[:100]!r}, the registry says {content_type!r}")
    if media_type not in ACCEPTED:
        media_type = OCI_INDEX if "manifests" in document else OCI_MANIFEST
        if document.get("schemaVersion") != 2:
            invalid("the registry's answer is not an image manifest")
    if "manifests" in document and ("layers" in document or "config" in document):
        invalid("the manifest could be read as an image and as an index")
    return Fetched(media_type, data)


def _manifest_document(data: bytes, content_type: str) -> Document:
    try:
        return documents.loads(data, "manifest")
    except PullFailed as failure:
        if content_type in ACCEPTED:
            raise
        reason = "the host answers something else than a manifest; is it a registry?"
        raise PullFailed(Code.REGISTRY_PROTOCOL, reason) from failure


def chosen(index: Fetched) -> Descriptor:
    """The manifest for our platform; only a manifest, so indexes cannot nest or loop."""
    entries = documents.objects(documents.loads(index.data, "index"), "manifests", "index")
    ranked = sorted((rank, at) for at, entry in enumerate(entries) if (rank := _rank(entry)) >= 0)
    if not ranked:
        raise PullFailed(
            Code.IMAGE_PLATFORM_MISSING, f"the image is for {_platforms(entries)} only"
        )
    descriptor = _descriptor(entries[ranked[0][1]], "index")
    if descriptor.media_type in _INDEXES:
        invalid("the index holds another index where an image should be")
    if descriptor.media_type not in _MANIFESTS:
        invalid(f"the index holds {descriptor.media_type[:100]!r} where an image should be")
    return descriptor


def read(fetched: Fetched) -> Manifest:
    document = documents.loads(fetched.data, "manifest")
    config = _descriptor(documents.part(document, "config", "manifest"), "manifest")
    if config.media_type not in _CONFIGS:
        invalid(f"it is no container image: its config is {config.media_type[:100]!r}")
    if config.size > LARGEST_CONFIG:
        invalid(f"its config has {config.size} bytes; {LARGEST_CONFIG} are allowed")
    entries = documents.objects(document, "layers", "manifest")
    if len(entries) > MOST_LAYERS:
        invalid(f"it has {len(entries)} layers; {MOST_LAYERS} are allowed")
    layers: dict[str, Descriptor] = {}
    order = [_layer(entry) for entry in entries]
    for layer in order:
        if layers.setdefault(layer.digest, layer).size != layer.size or (
            layer.digest == config.digest
        ):
            invalid("two parts of it have the same digest and are not the same")
    return Manifest(config, tuple(layers.values()), tuple(layer.digest for layer in order))


def _layer(entry: Document) -> Descriptor:
    layer = _descriptor(entry, "manifest")
    if layer.media_type not in _LAYERS:
        invalid(f"a layer is {layer.media_type[:100]!r}, which is no file system")
    return layer


def _descriptor(entry: Document, what: str) -> Descriptor:
    digest = documents.text(entry, "digest", what)
    try:
        hex_of(digest)
    except InvalidDigest as error:
        raise PullFailed(Code.IMAGE_INVALID, f"the {what} names a part wrongly: {error}") from error
    size = entry.get("size")
    if type(size) is not int or not 0 <= size <= _LARGEST_BLOB:
        invalid(f"the {what} gives a part a size that cannot be")
    return Descriptor(documents.text(entry, "mediaType", what), digest, size)


def _rank(entry: Document) -> int:
    """How well an entry fits; negative: not at all. One without a platform is the last resort."""
    platform = documents.part(entry, "platform", "index")
    if not platform:
        return len(_VARIANTS)
    if (platform.get("os"), platform.get("architecture")) != (OS, ARCHITECTURE):
        return -1
    variant = documents.text(platform, "variant", "index")
    return _VARIANTS.index(variant) if variant in _VARIANTS else -1


def _platforms(entries: list[Document]) -> str:
    platforms = (documents.part(entry, "platform", "index") for entry in entries)
    names = sorted(
        {
            "/".join(
                documents.text(platform, key, "index")
                for key in ("os", "architecture", "variant")
                if platform.get(key)
            )
            for platform in platforms
        }
    )
    known = [name[:40] for name in names if name != "unknown/unknown"]
    return ", ".join(known[:10]) or "no platform"
