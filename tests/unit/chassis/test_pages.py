"""Where a page ended: the word comes back as it was, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.pages import PageTokenInvalid, position_of, token_of

NUMBERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=60)


@given(TEXTS, NUMBERS)
def test_a_position_comes_back(text: str, number: int) -> None:
    assert position_of(token_of(text, number), str, int) == (text, number)


def test_no_word_is_the_beginning() -> None:
    assert position_of("", str) is None


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "é",
        "!!!!",
        "W10",
        "e30",
        token_of(1),
        token_of("a", "b"),
        token_of("a\x00"),
        "Wy" * 1_001,
        token_of("a") + "\n",
    ],
)
def test_what_is_no_word_of_this_list_is_refused(token: str) -> None:
    with pytest.raises(PageTokenInvalid) as refused:
        position_of(token, str)
    assert refused.value.reason == "PAGE_TOKEN_INVALID"


def test_a_number_that_no_database_holds_is_refused() -> None:
    with pytest.raises(PageTokenInvalid):
        position_of(token_of(2**63), int)


@given(st.binary(max_size=60))
def test_garbage_is_refused_and_nothing_worse(raw: bytes) -> None:
    try:
        position_of(raw.decode("latin-1"), str, int)
    except PageTokenInvalid:
        return
