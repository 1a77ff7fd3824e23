"""Organizations themselves, and what they may use."""

from deploy.local.org.command import Argument, Command, at, number, or_none

_ONE = "/organizations/{organizationId}"
_COLUMNS = ("id", "name", "personal", "suspended", "defaultRegionId")
_LIMITS = (
    "maxCpuPerSandbox",
    "maxMemoryPerSandbox",
    "maxDiskPerSandbox",
    "snapshotQuota",
    "maxSnapshotSize",
    "volumeQuota",
    "secretQuota",
    "maxSecretsPerSandbox",
    "maxConcurrentSnapshotProcessing",
    "snapshotDeactivationTimeoutMinutes",
)
# These are set back to the installation's by `none`.
_RATES = (
    "authenticatedRateLimit",
    "authenticatedRateLimitTtlSeconds",
    "sandboxCreateRateLimit",
    "sandboxCreateRateLimitTtlSeconds",
    "sandboxLifecycleRateLimit",
    "sandboxLifecycleRateLimitTtlSeconds",
)
_TOTALS = ("totalCpuQuota", "totalMemoryQuota", "totalDiskQuota", "totalGpuQuota")
_OF_REGION = (
    "maxCpuPerSandbox",
    "maxMemoryPerSandbox",
    "maxDiskPerSandbox",
    "maxDiskPerNonEphemeralSandbox",
)


def _flag(name: str) -> str:
    return "--" + "".join(f"-{c.lower()}" if c.isupper() else c for c in name)


def _numbers(*names: str) -> tuple[Argument, ...]:
    return tuple(Argument(_flag(n), n, "a number", kind=number) for n in names)


def _clearable(*names: str) -> tuple[Argument, ...]:
    text = "a number, or none: as it is everywhere"
    return tuple(Argument(_flag(n), n, text, kind=or_none(number)) for n in names)


COMMANDS = (
    Command(
        verb="list",
        path="/organizations",
        help="list the organizations you are in",
        columns=_COLUMNS,
        pages=True,
    ),
    Command(verb="get", path=_ONE, help="show one"),
    Command(
        verb="create",
        method="POST",
        path="/organizations",
        help="make one; you are its owner",
        arguments=(
            Argument("NAME", "name", "what it is called"),
            Argument(
                "--region", "defaultRegionId", "where its snapshots go by default", required=True
            ),
        ),
        creates=True,
    ),
    Command(
        verb="rename",
        method="PATCH",
        path=_ONE,
        help="give it another name",
        arguments=(Argument("NAME", "name", "what it shall be called"),),
        conditional=True,
    ),
    Command(
        verb="delete", method="DELETE", path=_ONE, help="delete it with all it has", named=True
    ),
    Command(
        verb="leave",
        method="POST",
        path=f"{_ONE}/leave",
        help="end your own membership",
        named=True,
    ),
    Command(verb="usage", path=f"{_ONE}/usage", help="show what is used of what may be used"),
    Command(
        verb="set-region",
        method="PATCH",
        path=f"{_ONE}/default-region",
        help="choose where snapshots go by default",
        arguments=(Argument("REGION", "defaultRegionId", "id of a region"),),
    ),
    Command(
        verb="suspend",
        method="POST",
        path=f"{_ONE}/suspend",
        help="suspend it (administrators of the installation)",
        arguments=(
            Argument("--reason", "reason", "why"),
            Argument("--until", "until", "until when (ISO 8601); else until lifted"),
            Argument(
                "--grace-hours",
                "suspensionCleanupGracePeriodHours",
                "hours until what runs is stopped",
                kind=number,
            ),
        ),
        named=True,
    ),
    Command(
        verb="unsuspend",
        method="POST",
        path=f"{_ONE}/unsuspend",
        help="lift a suspension (administrators of the installation)",
        named=True,
    ),
    Command(
        noun="quota",
        verb="show",
        path=_ONE,
        help="show limits and totals",
        columns=(*_LIMITS, *_RATES, "totalSnapshotQuota", "totalVolumeQuota", "regionUsage"),
        also=(f"{_ONE}/usage",),
    ),
    Command(
        noun="quota",
        verb="set",
        method="PATCH",
        path=f"{_ONE}/quota",
        help="set limits (administrators of the installation); what is not given stays",
        arguments=(*_numbers(*_LIMITS), *_clearable(*_RATES)),
        cleared="cleared",
        named=True,
    ),
    Command(
        noun="quota",
        verb="set-region",
        method="PATCH",
        path=f"{_ONE}/quota/{{regionId}}",
        help="set the share of a region (administrators of the installation)",
        arguments=(
            at("REGION", "regionId", "id of the region"),
            *_numbers(*_TOTALS),
            *_clearable(*_OF_REGION),
        ),
        named=True,
    ),
)
