"""Registries of images: how one is named, what it is asked to be, and which images it is for."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from chassis.errors import Kind, Refusal

DOCKER_HUB = "docker.io"
MOST_REGISTRIES = 100
MASK = "******"
_NAME_LENGTH, _URL_LENGTH, _PROJECT_LENGTH = 255, 2_048, 255
# Robots' names and passwords that are tokens in truth are long.
_USERNAME_LENGTH, _PASSWORD_LENGTH = 1_024, 16_384
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::([0-9]{{1,5}}))?")
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
# What people copy from other tools' settings; no part of any image's name.
_API_PATHS = frozenset({"v1", "v2"})


class RegistryNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGISTRY_NOT_FOUND"


class RegistryNameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "REGISTRY_NAME_INVALID"


class RegistryUrlInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "REGISTRY_URL_INVALID"


class RegistryCredentialInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "REGISTRY_CREDENTIAL_INVALID"


class RegistryProjectInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "REGISTRY_PROJECT_INVALID"


class RegistryPasswordRequired(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "REGISTRY_PASSWORD_REQUIRED"


class RegistryLimitReached(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "REGISTRY_LIMIT_REACHED"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a registry is: as people see it, and as images name it."""

    url: str
    host: str
    path: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A registry that is asked for and was found in order. `project` None: as it is."""

    name: str
    address: Address
    username: str
    password: str = field(repr=False)
    project: str | None


def draft(name: str, url: str, username: str, password: str, project: str | None) -> Draft:
    """Check what a client asks for."""
    name = name.strip()
    if not 1 <= len(name) <= _NAME_LENGTH or not name.isprintable():
        raise RegistryNameInvalid(f"a registry's name has 1 to {_NAME_LENGTH} printable characters")
    if len(username) > _USERNAME_LENGTH or not username.isprintable() or ":" in username:
        raise RegistryCredentialInvalid(
            f"a username has at most {_USERNAME_LENGTH} printable characters, none of them a colon"
        )
    if len(password) > _PASSWORD_LENGTH or not password.isprintable():
        raise RegistryCredentialInvalid(
            f"a password has at most {_PASSWORD_LENGTH} printable characters"
        )
    return Draft(name, address(url), username, password, project and project_of(project))


def address(url: str) -> Address:
    """Read `[http://|https://]host[:port][/path]`; Docker Hub has many names and is always called `docker.io`."""
    url = url.strip().rstrip("/")
    if not url:
        return Address(DOCKER_HUB, DOCKER_HUB, "")
    host, path = _split(url)
    found = _HOST.fullmatch(host)
    if found is None or (found[1] and not 0 < int(found[1]) < 1 << 16):
        raise RegistryUrlInvalid("a registry's URL is a host, with a port and a path if need be")
    if host == DOCKER_HUB or host.endswith("." + DOCKER_HUB):
        return Address(DOCKER_HUB, DOCKER_HUB, "")
    if path in _API_PATHS:
        path = ""
    if path and not _PATH.fullmatch(path):
        raise RegistryUrlInvalid("the path of a registry's URL is no beginning of images' names")
    return Address(url, host, path)


def _split(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
    except ValueError:
        raise RegistryUrlInvalid("this is no URL") from None
    plain = url.isascii() and url.isprintable() and len(url) <= _URL_LENGTH
    if not plain or parts.scheme not in ("http", "https") or set("@?# ") & set(url):
        raise RegistryUrlInvalid(
            "a registry's URL is an http or https address without credentials, query and fragment"
        )
    return parts.netloc.lower(), parts.path.strip("/")


def project_of(project: str) -> str:
    project = project.strip().strip("/")
    if len(project) > _PROJECT_LENGTH or not _PATH.fullmatch(project):
        raise RegistryProjectInvalid("a project is the beginning of images' names, in lower case")
    return project


def prefix(path: str, project: str) -> str:
    """Return below what images are that a registry is for: its URL's path and its project."""
    return "/".join(filter(None, (path, project)))


def fits(prefix: str, repository: str) -> bool:
    """Tell whether a repository is below a prefix; everything is below the empty one."""
    return not prefix or f"{repository}/".startswith(f"{prefix}/")


def place(organization_id: object, registry_id: object, host: str) -> str:
    """Return what a password is bound to: moved to another row, or its row to another host, it opens nowhere."""
    return f"{organization_id} {registry_id} registry {host}"
