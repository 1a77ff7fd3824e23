"""WWW-Authenticate headers as registries send them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.snapshots.images.challenge import Challenge, parse


@pytest.mark.parametrize(
    ("headers", "challenges"),
    [
        ([], []),
        (["Basic"], [Challenge("basic")]),
        (['Basic realm="a b"'], [Challenge("basic", {"realm": "a b"})]),
        (
            ['Bearer realm="https://x/t",service="s",scope="repository:a/b:pull,push"'],
            [
                Challenge(
                    "bearer",
                    {"realm": "https://x/t", "service": "s", "scope": "repository:a/b:pull,push"},
                )
            ],
        ),
        (
            ["bearer REALM=plain , Service = x"],
            [Challenge("bearer", {"realm": "plain", "service": "x"})],
        ),
        ([r'Bearer realm="a\"b\\c"'], [Challenge("bearer", {"realm": 'a"b\\c'})]),
        (
            ['Negotiate, Basic realm="x", Bearer realm="y"'],
            [
                Challenge("negotiate"),
                Challenge("basic", {"realm": "x"}),
                Challenge("bearer", {"realm": "y"}),
            ],
        ),
        (
            ["Negotiate YWJj==, Basic realm=x"],
            [Challenge("negotiate"), Challenge("basic", {"realm": "x"})],
        ),
        (
            ['Basic realm="a"', 'Bearer realm="b"'],
            [Challenge("basic", {"realm": "a"}), Challenge("bearer", {"realm": "b"})],
        ),
        (['Bearer realm="first",realm="second"'], [Challenge("bearer", {"realm": "first"})]),
        (['Bearer realm=""'], [Challenge("bearer", {"realm": ""})]),
        (['"nonsense'], []),
        (['Bearer realm="never closed'], [Challenge("bearer")]),
    ],
)
def test_it_reads(headers: list[str], challenges: list[Challenge]) -> None:
    assert parse(headers) == challenges


@given(st.lists(st.text(alphabet='aB= ,"\\\t;:/.x', max_size=40), max_size=3))
def test_it_reads_anything_without_complaint(headers: list[str]) -> None:
    for challenge in parse(headers):
        assert challenge.scheme


token = st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True)


@given(
    token,
    st.dictionaries(token.map(str.lower), st.text(alphabet='ab ,="\\', max_size=10), min_size=1),
)
def test_what_is_quoted_comes_back(scheme: str, parameters: dict[str, str]) -> None:
    quoted = (
        '{}="{}"'.format(name, value.replace("\\", "\\\\").replace('"', '\\"'))
        for name, value in parameters.items()
    )
    assert parse([f"{scheme} {', '.join(quoted)}"]) == [Challenge(scheme.lower(), parameters)]
