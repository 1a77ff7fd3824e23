"""How registries are named, and which images one is for."""

import pytest

from chassis.errors import Refusal
from services.snapshots.domain.registries import address, draft, fits, place, prefix


@pytest.mark.parametrize(
    ("url", "kept", "host", "path"),
    [
        ("", "docker.io", "docker.io", ""),
        ("docker.io", "docker.io", "docker.io", ""),
        ("https://index.docker.io/v1/", "docker.io", "docker.io", ""),
        (" https://registry-1.docker.io ", "docker.io", "docker.io", ""),
        ("https://ghcr.io/", "https://ghcr.io", "ghcr.io", ""),
        ("GHCR.io", "GHCR.io", "ghcr.io", ""),
        ("localhost:5000", "localhost:5000", "localhost:5000", ""),
        ("http://10.0.0.7:5000//", "http://10.0.0.7:5000", "10.0.0.7:5000", ""),
        ("[::1]:5000", "[::1]:5000", "[::1]:5000", ""),
        ("https://eu.pkg.dev/shop/base/", "https://eu.pkg.dev/shop/base", "eu.pkg.dev", "shop/base"),
        ("https://registry.example.com/v2/", "https://registry.example.com/v2", "registry.example.com", ""),
        # A name that only contains Docker Hub's is somebody else's.
        ("docker.io.example.com", "docker.io.example.com", "docker.io.example.com", ""),
        ("https://notdocker.io", "https://notdocker.io", "notdocker.io", ""),
    ],
)  # fmt: skip
def test_an_address_is_read(url: str, kept: str, host: str, path: str) -> None:
    found = address(url)
    assert (found.url, found.host, found.path) == (kept, host, path)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://host",
            "https://",
            "https://me:secret@host",
            "host?x=1",
            "host#x",
            "a b",
            "host:0",
        ),
        *(
            "host:99999",
            "host:x",
            "https://[::1",
            "ho_st",
            "-host",
            "hö.st",
            "host\x00",
            "x" * 3000,
        ),
        *("https://host/UPPER", "https://host/a//b", "https://host/..", "///", "https://user@host"),
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    if url == "///":
        assert address(url).host == "docker.io"
        return
    with pytest.raises(Refusal) as refused:
        address(url)
    assert refused.value.reason == "REGISTRY_URL_INVALID"
    assert "secret" not in refused.value.message


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"name": " "}, "REGISTRY_NAME_INVALID"),
        ({"name": "x" * 256}, "REGISTRY_NAME_INVALID"),
        ({"name": "a\nb"}, "REGISTRY_NAME_INVALID"),
        ({"username": "a:b"}, "REGISTRY_CREDENTIAL_INVALID"),
        ({"username": "a\r\nX: y"}, "REGISTRY_CREDENTIAL_INVALID"),
        ({"password": "x" * 16_385}, "REGISTRY_CREDENTIAL_INVALID"),
        ({"password": "a\tb"}, "REGISTRY_CREDENTIAL_INVALID"),
        ({"project": "Upper"}, "REGISTRY_PROJECT_INVALID"),
        ({"project": "a/../b"}, "REGISTRY_PROJECT_INVALID"),
    ],
)
def test_what_cannot_be_is_refused(changed: dict[str, str], reason: str) -> None:
    usual = {"name": "n", "url": "host", "username": "u", "password": "p", "project": ""}
    with pytest.raises(Refusal) as refused:
        draft(**{**usual, **changed})
    assert refused.value.reason == reason


def test_a_draft_never_shows_its_password() -> None:
    made = draft("n", "host", "u", "hush-hush", "/team/a/")
    assert "hush" not in repr(made)
    assert made.project == "team/a"
    assert draft("n", "host", "u", "", None).project is None


@pytest.mark.parametrize(
    ("path", "project", "repository", "fitting"),
    [
        ("", "", "anything/at/all", True),
        ("", "team", "team", True),
        ("", "team", "team/a", True),
        ("", "team", "teams/a", False),
        ("", "team/a", "team/b", False),
        ("shop", "base", "shop/base/x", True),
        ("shop", "base", "base/x", False),
    ],
)
def test_it_is_for_what_is_below_it(
    path: str, project: str, repository: str, fitting: bool
) -> None:
    assert fits(prefix(path, project), repository) is fitting


def test_a_password_is_bound_to_organization_registry_and_host() -> None:
    places = {place(o, r, h) for o in "ab" for r in "cd" for h in ("x", "y")}
    assert len(places) == 8
