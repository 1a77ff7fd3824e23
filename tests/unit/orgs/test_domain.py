"""Names that may be shown, and ids."""

from uuid import UUID

import pytest

from services.orgs.domain import OrganizationNameInvalid, display_name, storable, uuid_of


@pytest.mark.parametrize(
    "name",
    ["Shop", "Ünternehmen & Söhne", "日本", "a < b", "x" * 255, "tab\there", " padded ", "😀"],
)
def test_a_name_is_kept_as_it_is(name: str) -> None:
    assert display_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "   ",
        "\n\t",
        "x" * 256,
        "a\x00b",
        "a\x7fb",
        "a\x1bb",
        "<b",
        "</b>",
        "HTTPS://x",
        "see ftp://x",
        "JavaScript:alert(1)",
        "mailto:a@b",
        "data:text/html",
        "WWW.example.com",
    ],
)
def test_a_name_that_may_mislead_is_refused(name: str) -> None:
    with pytest.raises(OrganizationNameInvalid):
        display_name(name)


def test_an_id_is_a_uuid_or_nothing() -> None:
    text = "00000000-0000-4000-8000-00000000dead"
    assert uuid_of(text) == UUID(text)
    for wrong in ("", "abc", text + "0", "{" + text + "}", text.replace("-", ""), "g" * 36):
        assert uuid_of(wrong) is None


def test_what_postgresql_cannot_hold() -> None:
    assert storable("us")
    assert not storable("u\x00s")
