"""What a request for a snapshot must be."""

import pytest

from chassis.errors import Refusal
from services.snapshots.domain import (
    Resources,
    check_name,
    check_resources,
    entrypoint_from,
    pinned,
)

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    "name",
    ["a", "Team/Img_1.2:dev-3", "mydata:1", "hotel:2", f"a/b@{DIGEST}", "a" * 255, "..", "-"],
)
def test_names_that_may_be(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "my snap", "a//b", "/a", "a/", "a\n", "a\0", "<b>", "https://x", "é", "a" * 256, "a@b", f"@{DIGEST}",
     f"a@sha256:{HEX[1:]}", f"a@{DIGEST.upper()}", f"a@{DIGEST}0"],
)  # fmt: skip
def test_names_that_may_not_be(name: str) -> None:
    with pytest.raises(Refusal) as refused:
        check_name(name)
    assert refused.value.reason == "SNAPSHOT_NAME_INVALID"


@pytest.mark.parametrize(
    ("image", "digest"),
    [
        ("alpine:3.20", ""),
        ("docker.io/library/alpine:3.20", ""),
        ("host:5000/img:1", ""),
        ("localhost/a_b/c.d:v-1_2", ""),
        (f"alpine@{DIGEST}", DIGEST),
        (f"alpine:latest@{DIGEST}", DIGEST),
        (f"host:5000/img@{DIGEST}", DIGEST),
    ],
)
def test_images_that_are_pinned(image: str, digest: str) -> None:
    assert pinned(image) == digest


@pytest.mark.parametrize("image", ["alpine", "alpine:", "alpine:latest", "host:5000/img", "a/b"])
def test_images_that_are_not_pinned(image: str) -> None:
    with pytest.raises(Refusal) as refused:
        pinned(image)
    assert refused.value.reason == "IMAGE_REF_UNPINNED"


@pytest.mark.parametrize(
    "image",
    ["", ":1", "a b:1", "a//b:1", "/a:1", "a:b:c", "a\0:1", "é:1", "a" * 512 + ":1", f"@{DIGEST}", "alpine@x",
     f"alpine@sha256:{HEX[1:]}", f"alpine@{DIGEST.upper()}", f"a@{DIGEST}@{DIGEST}", "a:-1", "a/b:1/c:2", "a@"],
)  # fmt: skip
def test_images_that_are_none(image: str) -> None:
    with pytest.raises(Refusal) as refused:
        pinned(image)
    assert refused.value.reason == "IMAGE_REF_INVALID"


def test_blank_items_of_an_entrypoint_are_left_out() -> None:
    assert entrypoint_from(["sleep", "", " ", "infinity"]) == ["sleep", "infinity"]
    assert entrypoint_from(["", " "]) is None
    assert entrypoint_from([]) is None


@pytest.mark.parametrize("items", [["a\0b"], ["x"] * 257, ["y" * 33_000], ["\0"]])
def test_entrypoints_that_cannot_be(items: list[str]) -> None:
    with pytest.raises(Refusal) as refused:
        entrypoint_from(items)
    assert refused.value.reason == "ENTRYPOINT_INVALID"


def test_a_sandbox_needs_one_of_each_but_a_gpu() -> None:
    check_resources(Resources(1, 0, 1, 1))
    for bad in (Resources(0, 0, 1, 1), Resources(1, -1, 1, 1), Resources(1, 0, 0, 1), Resources(1, 0, 1, 0)):  # fmt: skip
        with pytest.raises(Refusal) as refused:
            check_resources(bad)
        assert refused.value.reason == "RESOURCES_INVALID"
