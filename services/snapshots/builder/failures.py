"""Why a build failed: a stable word, a cause and a remedy, read from what buildah says."""

import re
from enum import StrEnum

from services.snapshots.domain import Setback
from services.snapshots.images.failures import Code as PullCode
from services.snapshots.images.failures import PullFailed


class Code(StrEnum):
    """The words `Failure.code` may say about a build, besides those about a pull."""

    DOCKERFILE_INVALID = "DOCKERFILE_INVALID"
    BUILD_STEP_FAILED = "BUILD_STEP_FAILED"
    CONTEXT_MISSING = "CONTEXT_MISSING"
    CONTEXT_INVALID = "CONTEXT_INVALID"
    CONTEXT_STORAGE_UNAVAILABLE = "CONTEXT_STORAGE_UNAVAILABLE"
    BUILD_OUT_OF_MEMORY = "BUILD_OUT_OF_MEMORY"
    BUILD_DISK_EXCEEDED = "BUILD_DISK_EXCEEDED"


REMEDIES = {
    Code.DOCKERFILE_INVALID: "Correct the Dockerfile.",
    Code.BUILD_STEP_FAILED: "Read the log of the build, correct the step and create the snapshot again.",
    Code.CONTEXT_MISSING: "Upload the context again, then create the snapshot again.",
    Code.CONTEXT_INVALID: "Upload the context again, as a tar archive of files and folders below its own root.",
    Code.CONTEXT_STORAGE_UNAVAILABLE: "Try again later; if that does not help, ask who runs this installation.",
    Code.BUILD_OUT_OF_MEMORY: "Use less memory in the step, or have the limit of builds raised.",
    Code.BUILD_DISK_EXCEEDED: "Write less in the steps, or have the limit of builds raised.",
}


class BuildFailed(Setback):
    """A build ended without an image. `transient`: the same build may succeed later."""

    def __init__(self, code: Code, reason: str, *, transient: bool = False) -> None:
        super().__init__(code, reason, REMEDIES[code], transient=transient)


# Nothing in the step is escaped: the end of one that ran is known, that of any other is where it may be first.
_STEP = re.compile(
    r'building at STEP "(?:(?P<ran>.*)": while running runtime: (?P<how>.*)|(?P<step>.*?)": (?P<why>.*))',
    re.DOTALL,
)
_STATUS = re.compile(r"exit status (\d+)")
_PARSE = re.compile(
    r"(parsing|Dockerfile parse|[Uu]nknown instruction|no FROM|no stages to build|file with no instructions|"
    r"syntax|stage .* not found|requires (at least|exactly)|no build stage)"
)
_PULL_CODES = (
    (re.compile(r"unauthorized|authentication required|denied", re.I), PullCode.REGISTRY_UNAUTHORIZED),
    (re.compile(r"manifest unknown|name unknown|not found|repository .* not"), PullCode.IMAGE_NOT_FOUND),
    (re.compile(r"no such host"), PullCode.REGISTRY_HOST_UNKNOWN),
    (re.compile(r"x509|certificate|tls:|HTTP response to HTTPS"), PullCode.REGISTRY_TLS),
    (re.compile(r"toomanyrequests|429"), PullCode.REGISTRY_RATE_LIMITED),
    (re.compile(r"timeout|deadline exceeded"), PullCode.REGISTRY_TIMEOUT),
    (re.compile(r"invalid reference|short-name"), PullCode.IMAGE_INVALID),
    (re.compile(r"no image found in manifest list for architecture"), PullCode.IMAGE_PLATFORM_MISSING),
)  # fmt: skip
_LONGEST = 500


def of_build(said: str) -> BuildFailed:
    """Return why a build failed, from the end of what buildah said."""
    error = _error(said)
    if (found := _STEP.search(error)) is None:
        code = Code.DOCKERFILE_INVALID if _PARSE.search(error) else Code.BUILD_STEP_FAILED
        return BuildFailed(code, error[:_LONGEST])
    step = (found["ran"] or found["step"])[:_LONGEST]
    why = (found["how"] or found["why"])[:_LONGEST]
    if _PARSE.search(why):
        return BuildFailed(Code.DOCKERFILE_INVALID, f"the step `{step}` cannot be read: {why}")
    if status := _STATUS.search(why):
        return BuildFailed(
            Code.BUILD_STEP_FAILED, f"the step `{step}` ended with exit code {status[1]}"
        )
    return BuildFailed(Code.BUILD_STEP_FAILED, f"the step `{step}` failed: {why}")


def of_pull(image: str, said: str) -> PullFailed:
    """Return why the image that a Dockerfile starts from cannot be had."""
    error = _error(said)
    for pattern, code in _PULL_CODES:
        if pattern.search(error):
            return PullFailed(
                code, f"the image {image[:_LONGEST]} cannot be had: {error[:_LONGEST]}"
            )
    reason = f"the image {image[:_LONGEST]} cannot be had now: {error[:_LONGEST]}"
    return PullFailed(PullCode.REGISTRY_UNREACHABLE, reason)


def _error(said: str) -> str:
    """Return the last thing that was said as an error, on one line; a step may have several lines."""
    at = said.rfind("\nError: ")
    error = (
        said[at + 1 :] if at >= 0 else said[said.rfind("Error: ") :] if "Error: " in said else said
    )
    return " ".join(error.removeprefix("Error: ").split()) or "it said nothing"
