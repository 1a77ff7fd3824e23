"""Where telemetry may go and what it may carry."""

import pytest

from services.orgs.domain.telemetry import (
    OtelEndpointInvalid,
    OtelHeadersInvalid,
    experimental,
    telemetry,
)


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://otel:4317",
        "https://otel.example.com/v1/traces?x=1",
        " https://otel ",
        "grpc://otel:4317",
        "grpcs://10.0.0.1:4317",
        "HTTP://[::1]:4318",
    ],
)
def test_an_address_with_a_host(endpoint: str) -> None:
    assert telemetry(endpoint, {}).endpoint == endpoint.strip()


@pytest.mark.parametrize(
    "endpoint",
    [
        *("", " ", "otel", "otel:4317", "ftp://otel", "file:///etc/passwd", "http://", "http:otel"),
        *("http:///path", "https://user:secret@otel", "https://user@otel", "http://otel:0"),
        *("http://otel:99999", "http://otel:x", "http://[::1", "http://o tel", "http://ötel"),
        *("http://otel\x00", "http://ot\nel", "http://otel/" + "x" * 2_048),
    ],
)
def test_no_address(endpoint: str) -> None:
    with pytest.raises(OtelEndpointInvalid):
        telemetry(endpoint.rstrip(" "), {})


def test_blank_headers_are_left_out() -> None:
    headers = {"": "x", " ": "x", "a": "", "b": " \t", " c ": " d "}
    assert telemetry("http://x", headers).headers == {"c": "d"}


def test_as_many_and_as_long_as_may_be() -> None:
    most = {f"h{n}": "x" * 4_096 for n in range(64)}
    assert telemetry("http://x", {**most, "blank": ""}).headers == most


@pytest.mark.parametrize(
    "headers",
    [
        {f"h{n}": "x" for n in range(65)},
        {"h": "x" * 4_097},
        {"h" * 257: "x"},
        {"a b": "x"},
        {"a:": "x"},
        {"ä": "x"},
        {"h": "a\nb"},
        {"h": "a\x00b"},
        {"h": "ä"},
    ],
)
def test_what_cannot_be_sent(headers: dict[str, str]) -> None:
    with pytest.raises(OtelHeadersInvalid):
        telemetry("http://x", headers)


def test_masked_values_are_those_that_are_stored() -> None:
    asked = telemetry("http://x", {"a": "***", "b": "*", "c": "**x", "d": "new"})
    assert asked.needs_stored()
    assert asked.merged({"a": "1", "d": "old"}) == {"a": "1", "c": "**x", "d": "new"}
    assert not telemetry("http://x", {"a": "x"}).needs_stored()


def test_settings_are_kept_as_they_are() -> None:
    assert experimental('{"ü": [1, 2.5, "\\\\u0000", null, true]}') == (
        '{"ü":[1,2.5,"\\\\u0000",null,true]}',
        None,
    )
