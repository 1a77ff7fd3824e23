"""Reasons, read from what buildah said."""

import pytest

from services.snapshots.builder.failures import of_build, of_pull


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        (
            'x\nError: building at STEP "RUN echo "a": b; exit 3": while running runtime: exit status 3\n',
            "BUILD_STEP_FAILED",
            'the step `RUN echo "a": b; exit 3` ended with exit code 3',
        ),
        (
            'Error: building at STEP "COPY a /": checking on "/x/y": no such file\n',
            "BUILD_STEP_FAILED",
            'the step `COPY a /` failed: checking on "/x/y": no such file',
        ),
        ("Error: building: no stages to build\n", "DOCKERFILE_INVALID", "building: no stages to build"),
        ("", "BUILD_STEP_FAILED", "it said nothing"),
    ],
)  # fmt: skip
def test_of_a_build(said: str, code: str, reason: str) -> None:
    failure = of_build(said)
    assert (failure.code, failure.reason, failure.transient) == (code, reason, False)


@pytest.mark.parametrize(
    ("said", "code", "transient"),
    [
        ("Error: reading manifest: manifest unknown\n", "IMAGE_NOT_FOUND", False),
        ("Error: unauthorized: authentication required\n", "REGISTRY_UNAUTHORIZED", False),
        ("Error: dial tcp: lookup x: no such host\n", "REGISTRY_HOST_UNKNOWN", False),
        ("Error: x509: certificate signed by unknown authority\n", "REGISTRY_TLS", False),
        ("Error: dial tcp: connect: connection refused\n", "REGISTRY_UNREACHABLE", True),
        ("Error: toomanyrequests: slow down\n", "REGISTRY_RATE_LIMITED", True),
    ],
)
def test_of_a_pull(said: str, code: str, transient: bool) -> None:
    failure = of_pull("a:1", said)
    assert (failure.code, failure.transient) == (code, transient)
    assert "a:1" in failure.reason
