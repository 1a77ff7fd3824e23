"""Image references: what Docker makes of them, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.snapshots.images.reference import ImageReference, InvalidReference, parse

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


@pytest.mark.parametrize(
    ("text", "host", "repository", "tag", "digest"),
    [
        ("alpine", "docker.io", "library/alpine", None, None),
        ("alpine:3.20", "docker.io", "library/alpine", "3.20", None),
        ("team/app:1", "docker.io", "team/app", "1", None),
        ("docker.io/alpine:1", "docker.io", "library/alpine", "1", None),
        ("docker.io/library/alpine:1", "docker.io", "library/alpine", "1", None),
        ("index.docker.io/team/app:1", "docker.io", "team/app", "1", None),
        ("registry-1.docker.io/library/alpine:1", "docker.io", "library/alpine", "1", None),
        ("localhost/app:1", "localhost", "app", "1", None),
        ("localhost:5000/app", "localhost:5000", "app", None, None),
        ("ghcr.io/a/b/c:x_Y-1.2", "ghcr.io", "a/b/c", "x_Y-1.2", None),
        ("GHCR.io/a:1", "ghcr.io", "a", "1", None),
        ("127.0.0.1:5000/a:1", "127.0.0.1:5000", "a", "1", None),
        ("[::1]:5000/a:1", "[::1]:5000", "a", "1", None),
        (f"alpine@{DIGEST}", "docker.io", "library/alpine", None, DIGEST),
        (f"r.test:1/a/b:2@{DIGEST}", "r.test:1", "a/b", "2", DIGEST),
        ("a__b/c--d/e.f:1", "docker.io", "a__b/c--d/e.f", "1", None),
    ],
)
def test_docker_reads_it_so(
    text: str, host: str, repository: str, tag: str | None, digest: str | None
) -> None:
    assert parse(text) == ImageReference(host, repository, tag, digest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        ":1",
        "a:",
        "a@",
        "Team/app:1",
        "a//b:1",
        "/a:1",
        "a/:1",
        "a b:1",
        "a:b c",
        "a:" + "x" * 129,
        f"a@sha256:{HEX[:-1]}",
        f"a@sha256:{HEX.upper()}",
        f"a@{DIGEST}\n",
        f"a@{DIGEST}@{DIGEST}",
        "a@sha512:" + HEX * 2,
        "a___b:1",
        "../../etc/passwd:1",
        "r.test:0/a:1",
        "r.test:65536/a:1",
        "r.test:x/a:1",
        "-r.test/a:1",
        "r..test/a:1",
        "user@r.test/a:1",
        "http://r.test/a:1",
        "r.test/a?x=1",
        "r.test/a#x:1",
        "ré.test/a:1",
        "r.test/" + "a" * 250 + ":1",
        "l" * 64 + ".test/a:1",
        "a:1\n",
    ],
)
def test_what_names_no_image_is_refused(text: str) -> None:
    with pytest.raises(InvalidReference):
        parse(text)


def test_docker_hub_is_served_by_another_host() -> None:
    assert parse("alpine:1").endpoint == "registry-1.docker.io"
    assert parse("ghcr.io/a:1").endpoint == "ghcr.io"


def test_a_digest_decides_over_a_tag() -> None:
    assert parse(f"a:1@{DIGEST}").version == DIGEST
    assert parse("a:1").version == "1"
    assert parse("a").version == "latest"


def test_an_exact_name_is_rendered_with_an_at_sign() -> None:
    assert parse("alpine:3").at(DIGEST) == f"docker.io/library/alpine@{DIGEST}"
    assert str(parse(f"r.test:1/a:2@{DIGEST}")) == f"r.test:1/a:2@{DIGEST}"


label = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True)
host = st.one_of(
    st.just("localhost"),
    st.builds(".".join, st.lists(label, min_size=2, max_size=4)),
    st.builds("{}:{}".format, label, st.integers(1, 65535)),
)
part = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,5}){0,2}", fullmatch=True)
repository = st.builds("/".join, st.lists(part, min_size=1, max_size=4))
tag = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
digest = st.none() | st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)


@given(st.builds(ImageReference, host, repository, tag, digest))
def test_what_is_rendered_is_read_again(reference: ImageReference) -> None:
    assert parse(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        reference = parse(text)
    except InvalidReference:
        return
    assert parse(str(reference)) == reference
    assert "/" not in reference.host
    assert ".." not in reference.repository
