"""Why an image could not be fetched: a stable word, a cause and a remedy."""

from enum import StrEnum

from services.snapshots.domain import Setback


class Code(StrEnum):
    """The words `Failure.code` may say about a pull."""

    REGISTRY_HOST_UNKNOWN = "REGISTRY_HOST_UNKNOWN"
    REGISTRY_UNREACHABLE = "REGISTRY_UNREACHABLE"
    REGISTRY_TLS = "REGISTRY_TLS"
    REGISTRY_TIMEOUT = "REGISTRY_TIMEOUT"
    REGISTRY_RATE_LIMITED = "REGISTRY_RATE_LIMITED"
    REGISTRY_ERROR = "REGISTRY_ERROR"
    REGISTRY_UNAUTHORIZED = "REGISTRY_UNAUTHORIZED"
    REGISTRY_PROTOCOL = "REGISTRY_PROTOCOL"
    IMAGE_NOT_FOUND = "IMAGE_NOT_FOUND"
    IMAGE_PLATFORM_MISSING = "IMAGE_PLATFORM_MISSING"
    IMAGE_TOO_LARGE = "IMAGE_TOO_LARGE"
    IMAGE_INVALID = "IMAGE_INVALID"
    DIGEST_MISMATCH = "DIGEST_MISMATCH"
    STORE_FULL = "STORE_FULL"


REMEDIES = {
    Code.REGISTRY_HOST_UNKNOWN: "Check the registry's host name in the image reference.",
    Code.REGISTRY_UNREACHABLE: "Check that the registry runs and that this machine may reach it.",
    Code.REGISTRY_TLS: (
        "Give the registry a certificate this machine trusts, or have its CA added; "
        "a registry that speaks plain HTTP must be configured as such."
    ),
    Code.REGISTRY_TIMEOUT: "Check the registry and the network to it; it is too slow to use.",
    Code.REGISTRY_RATE_LIMITED: "Wait, or add credentials of an account with a higher limit.",
    Code.REGISTRY_ERROR: "The registry has a problem of its own; try again later or ask who runs it.",
    Code.REGISTRY_UNAUTHORIZED: (
        "Check the image's name (registries say this of unknown ones too) "
        "and add credentials that may read it."
    ),
    Code.REGISTRY_PROTOCOL: "Check that the host is an OCI registry; its answers are not those of one.",
    Code.IMAGE_NOT_FOUND: "Check the image's repository and its tag or digest.",
    Code.IMAGE_PLATFORM_MISSING: "Publish the image for linux/amd64, or choose one that is.",
    Code.IMAGE_TOO_LARGE: "Use a smaller image, or have the organization's limit raised.",
    Code.IMAGE_INVALID: "Use a valid image: build and push it again with a current tool.",
    Code.DIGEST_MISMATCH: "Push the image again: what the registry holds is damaged.",
    Code.STORE_FULL: "Delete snapshots that are not needed, or give the store more room.",
}

_TRANSIENT = {
    Code.REGISTRY_UNREACHABLE,
    Code.REGISTRY_TIMEOUT,
    Code.REGISTRY_RATE_LIMITED,
    Code.REGISTRY_ERROR,
}


class PullFailed(Setback):
    """A pull ended without an image. `transient`: the same pull may succeed later."""

    code: Code

    def __init__(
        self,
        code: Code,
        reason: str,
        *,
        remedy: str | None = None,
        transient: bool | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(
            code,
            reason,
            remedy or REMEDIES[code],
            transient=code in _TRANSIENT if transient is None else transient,
            retry_after=retry_after,
        )
