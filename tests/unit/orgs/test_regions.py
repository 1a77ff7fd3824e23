"""What a custom region may be called and where it may answer."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.errors import Refusal
from services.orgs.domain.regions import RegionUrlInvalid, digest, fit_addresses, fit_name, id_for

_FIT = re.compile(r"[A-Za-z0-9_.-]{2,255}\Z")


@given(st.one_of(st.text(max_size=300), st.from_regex(_FIT)))
def test_names(name: str) -> None:
    if _FIT.match(name):
        assert fit_name(name) == name
        assert re.fullmatch(re.escape(name.lower()) + "_[a-z0-9]{4}", id_for(name))
        return
    with pytest.raises(Refusal) as refused:
        fit_name(name)
    assert refused.value.reason == "REGION_NAME_INVALID"


def test_an_id_is_another_each_time() -> None:
    assert len({id_for("eu") for _ in range(100)}) > 90


@pytest.mark.parametrize(
    "url",
    [
        "http://a",
        "https://proxy.example.com",
        "https://proxy.example.com:8443/path?q=1",
        "HTTPS://Example.com",
        "http://[::1]:3000",
        "http://10.0.0.1",
        "https://a.example/" + "x" * 2_030,
    ],
)
def test_an_address_is_kept_as_it_is(url: str) -> None:
    for field in ("proxy_url", "ssh_gateway_url", "snapshot_manager_url", "otel_endpoint"):
        assert fit_addresses({field: url}) == {field: url}


def test_ssh_is_for_the_ssh_gateway() -> None:
    url = "ssh://gateway.example.com:2222"
    assert fit_addresses({"ssh_gateway_url": url}) == {"ssh_gateway_url": url}
    for field in ("proxy_url", "snapshot_manager_url", "otel_endpoint"):
        _refused(field, url)


def test_an_empty_address_is_none() -> None:
    assert fit_addresses({"proxy_url": ""}) == {"proxy_url": None}


@pytest.mark.parametrize(
    "url",
    [
        "proxy.example.com",
        "//proxy.example.com",
        "/path",
        "https://",
        "https:///path",
        "https://:443",
        "https://a:0",
        "https://a:99999",
        "https://a:port",
        "https://user@a.example",
        "https://user:secret@a.example",
        "https://@a.example",
        "ftp://a.example",
        "javascript:alert(1)",
        "https://a b.example",
        "https://a.example/\n",
        "https://a.example/\x00",
        "https://ä.example",
        "https://a\\b.example",
        "https://[::1",
        "https://a.example/" + "x" * 2_031,
    ],
)
def test_what_is_no_address(url: str) -> None:
    _refused("ssh_gateway_url", url)


@given(st.text())
def test_an_address_is_fit_or_refused(url: str) -> None:
    with suppress(RegionUrlInvalid):
        assert fit_addresses({"proxy_url": url}) == {"proxy_url": url or None}


def test_a_secret_is_kept_as_its_digest() -> None:
    expected = "a2b04f2ff108d17a657606ddf0489dada97810630cfcbf208a025c0035b70e60"
    assert digest("dtn_0").hex() == expected


def _refused(field: str, url: str) -> None:
    with pytest.raises(Refusal) as refused:
        fit_addresses({field: url})
    assert refused.value.reason == "REGION_URL_INVALID"
    assert refused.value.metadata == {"field": field}
