"""What people call an image, read as Docker reads it."""

import re
from dataclasses import dataclass

from services.snapshots.store.digests import InvalidDigest, hex_of

DOCKER_HUB = "docker.io"
_DOCKER_HUB_ENDPOINT = "registry-1.docker.io"
_DOCKER_HUB_NAMES = {DOCKER_HUB, "index.docker.io", _DOCKER_HUB_ENDPOINT}

_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_LONGEST_NAME = 255


class InvalidReference(ValueError):
    """A string that names no image."""


@dataclass(frozen=True, slots=True)
class ImageReference:
    """An image at a registry. A digest, if there is one, decides; the tag is then decoration."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def endpoint(self) -> str:
        """The `host[:port]` that serves it."""
        return endpoint_of(self.host)

    @property
    def name(self) -> str:
        """Where it is, whatever the version: `host/repository`."""
        return f"{self.host}/{self.repository}"

    @property
    def version(self) -> str:
        """What to ask the registry for."""
        return self.digest or self.tag or "latest"

    def spellings(self) -> list[str]:
        """Return every way in which people write where it is, with its tag and without digest."""
        hosts, repositories = [f"{self.host}/"], [self.repository]
        if self.host == DOCKER_HUB:
            hosts = ["", *(f"{name}/" for name in sorted(_DOCKER_HUB_NAMES))]
            repositories.append(self.repository.removeprefix("library/"))
        tag = f":{self.tag}" if self.tag else ""
        return sorted({f"{host}{name}{tag}" for host in hosts for name in repositories})

    def at(self, digest: str) -> str:
        """Exactly this content: `host/repository@sha256:…`."""
        return f"{self.name}@{digest}"

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def endpoint_of(host: str) -> str:
    """Return the `host[:port]` that serves the images of a host."""
    return _DOCKER_HUB_ENDPOINT if host == DOCKER_HUB else host


def parse(text: str) -> ImageReference:
    """Read `[host/]repository[:tag][@digest]`; refuses with InvalidReference."""
    name, digest = _split_digest(text)
    name, tag = _split_tag(name)
    host, repository = _split_host(name)
    if not _HOST.fullmatch(host) or not _port_possible(host):
        raise InvalidReference(f"{host[:100]!r} is no host name")
    if not _REPOSITORY.fullmatch(repository):
        raise InvalidReference(
            f"{repository[:100]!r} is no repository name (lower case, no blanks)"
        )
    if len(f"{host}/{repository}") > _LONGEST_NAME:
        raise InvalidReference(f"longer than {_LONGEST_NAME} characters")
    return ImageReference(host, repository, tag, digest)


def _split_digest(text: str) -> tuple[str, str | None]:
    name, at, digest = text.partition("@")
    if not at:
        return name, None
    try:
        hex_of(digest)
    except InvalidDigest as error:
        raise InvalidReference(str(error)) from error
    return name, digest


def _split_tag(name: str) -> tuple[str, str | None]:
    colon = name.rfind(":")
    if colon <= name.rfind("/"):
        return name, None
    tag = name[colon + 1 :]
    if not _TAG.fullmatch(tag):
        raise InvalidReference(f"{tag[:150]!r} is no tag")
    return name[:colon], tag


def _split_host(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        host, repository = first.lower(), rest
    else:
        host, repository = DOCKER_HUB, name
    if host not in _DOCKER_HUB_NAMES:
        return host, repository
    return DOCKER_HUB, repository if "/" in repository else f"library/{repository}"


def _port_possible(host: str) -> bool:
    port = host.rpartition("]")[2].partition(":")[2]
    return not port or 0 < int(port) < 1 << 16
