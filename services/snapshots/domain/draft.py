"""A snapshot that is asked for, and what such a request must be."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from services.snapshots.domain.build import Recipe
from services.snapshots.domain.refusals import (
    EntrypointInvalid,
    ImageRefInvalid,
    ImageRefUnpinned,
    NameInvalid,
    ResourcesInvalid,
)

NAME_LENGTH, IMAGE_REF_LENGTH = 255, 512
ENTRYPOINT_ITEMS, ENTRYPOINT_BYTES = 256, 32 * 1024

_NAME = re.compile(r"[\w.:-]+(?:/[\w.:-]+)*(?:@sha256:[0-9a-f]{64})?", re.ASCII)
# Only what stands before a slash may be a host with a port; what follows the last slash may end in a tag.
_REPOSITORY = re.compile(r"(?:[\w.-]+(?::[0-9]{1,5})?/)?[\w.-]+(?:/[\w.-]+)*", re.ASCII)
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Resources:
    """Of a sandbox: virtual CPUs, GPUs, GiB of memory and of disk."""

    cpu: int
    gpu: int
    memory: int
    disk: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that was found in order. `digest`: what the image is pinned by, or empty."""

    name: str
    image_ref: str
    digest: str
    entrypoint: list[str] | None
    resources: Resources
    region_id: str
    # Instead of an image.
    build: Recipe | None = None


def check_name(name: str) -> None:
    if len(name) > NAME_LENGTH or not _NAME.fullmatch(name):
        raise NameInvalid(
            f"a name is at most {NAME_LENGTH} characters: parts of letters, digits, '_', '.', ':' and '-',"
            " separated by single slashes"
        )


def pinned(image_ref: str) -> str:
    """Return the digest that an image reference is pinned by, empty for a tag; refuse any other reference."""
    if len(image_ref) > IMAGE_REF_LENGTH:
        raise ImageRefInvalid(f"an image reference is at most {IMAGE_REF_LENGTH} characters")
    named, at, digest = image_ref.partition("@")
    repository, tag = _split_tag(named)
    if not _REPOSITORY.fullmatch(repository) or (at and not _DIGEST.fullmatch(digest)):
        raise ImageRefInvalid("this is no image reference")
    if tag and not _TAG.fullmatch(tag):
        raise ImageRefInvalid("the tag of the image reference is malformed")
    if not digest and tag in ("", "latest"):
        raise ImageRefUnpinned("name the image by a tag other than `latest`, or by a digest")
    return digest


def _split_tag(named: str) -> tuple[str, str]:
    path, slash, last = named.rpartition("/")
    image, _, tag = last.partition(":")
    return path + slash + image, tag


def entrypoint_from(items: Sequence[str]) -> list[str] | None:
    """Return what a sandbox is to run: blank items left out, nothing left means what the image says."""
    if len(items) > ENTRYPOINT_ITEMS or sum(len(i.encode()) for i in items) > ENTRYPOINT_BYTES:
        raise EntrypointInvalid("the entrypoint is too long")
    if any("\0" in item for item in items):
        raise EntrypointInvalid("the entrypoint contains a NUL character")
    return [item for item in items if item.strip()] or None


def check_resources(resources: Resources) -> None:
    at_least = {"cpu": 1, "gpu": 0, "memory": 1, "disk": 1}
    for what, least in at_least.items():
        if getattr(resources, what) < least:
            raise ResourcesInvalid(f"{what} is at least {least}", resource=what)
