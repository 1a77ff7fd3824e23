"""Which images a Dockerfile starts from."""

import pytest

from services.snapshots.builder.dockerfile import bases, copied, foreign, mounts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a:1\n", ["a:1"]),
        ("from a:1 as b\nFROM b\nFROM c\nFROM a:1\n", ["a:1", "c"]),
        ("FROM a AS Stage\nFROM stage\n", ["a"]),
        ("# FROM no\n\n  FROM a\n", ["a"]),
        ("FROM \\\n  # a comment between\n  a:1\n", ["a:1"]),
        ("# escape=`\nFROM `\n a:1\n", ["a:1"]),
        ("FROM --platform=linux/amd64 a\n", ["a"]),
        ("ARG V=1.2\nARG H\nFROM h/${H:-x}/a:$V\n", ["h/x/a:1.2"]),
        ('ARG V="1.2"\nFROM a:${V:+3}\n', ["a:3"]),
        ("FROM scratch\n", []),
        ("RUN echo \\\n FROM a\n", []),
        ("FROM\n", []),
        ("FR\\\nOM a:\\\n1\n", ["a:1"]),
        ("FR\\ \nOM a\n", ["a"]),
        ("# syntax=x\n# escape=`\nRUN true \\\nFROM a\n", ["a"]),
        ("#\n# escape=`\nRUN true \\\nFROM a\n", []),
        ("FROM\ta\r\nFROM b\r\n", ["a", "b"]),
        ("FROM a", ["a"]),
        ("", []),
    ],
)
def test_bases(text: str, expected: list[str]) -> None:
    assert bases(text) == expected


def test_copied_are_images_and_no_stages() -> None:
    text = "FROM a AS x\nCOPY --from=x / /\nCOPY --from=0 / /\nCOPY --chown=1 --from=b:1 / /\nCOPY --from=a / /\n"
    assert (bases(text), copied(text)) == (["a"], ["b:1"])


def test_an_option_may_be_written_over_two_lines() -> None:
    assert copied("FROM a\nCOPY --fr\\\nom=b:1 / /\n") == ["b:1"]


@pytest.mark.parametrize(
    "text",
    [
        "FROM oci:/somewhere\n",
        "from --platform=linux/amd64 dir:/somewhere\n",
        'FROM "oci-archive:/x"\n',
        "FROM a\nCOPY --from=containers-storage:[overlay@/l+/r]x / /\n",
        "FROM a\nCOPY --fr\\\n# between\nom=dir:/x / /\n",
        "FROM a\nONBUILD COPY --from=tarball:/x / /\n",
        "# escape=`\nFROM a\nFR`\nOM docker-archive:/x\n",
    ],
)
def test_images_that_are_at_no_registry_are_seen(text: str) -> None:
    assert foreign(text)


def test_images_at_registries_are_not_foreign() -> None:
    assert not foreign("FROM dir/a:1\nFROM oci.example.com:5000/b\nCOPY --from=oci-x:1 / /\n")


@pytest.mark.parametrize(
    "text",
    [
        "FROM a\nRUN --mount=type=bind,from=b,target=/x true\n",
        "FROM a\nrun --network=host --mount=type=cache,target=/x true\n",
        "FROM a\nRUN --mo\\\n# between\n\n  unt=type=cache,target=/x true\n",
        "# escape=`\nFROM a\nRUN --mo`\nunt=type=cache,target=/x true\n",
        "FROM a\nRUN --mo\\unt=type=cache,target=/x true\n",
        'FROM a\nRUN --"mount"=type=cache,target=/x true\n',
        "FROM a\nONBUILD RUN --mount=type=cache,target=/x true\n",
    ],
)
def test_mounts_are_seen_however_they_are_written(text: str) -> None:
    assert mounts(text)


def test_most_words_are_no_mounts() -> None:
    assert not mounts("FROM a\nRUN mount; echo -- mount --m ount\n")
