"""What an organization may use, everywhere and in a region, and what may be said about it."""

from collections.abc import Iterable, Mapping

from chassis.errors import Kind, Refusal

# What has a value of the installation's to fall back on.
CLEARABLE = frozenset(
    {
        "authenticated_rate_limit",
        "sandbox_create_rate_limit",
        "sandbox_lifecycle_rate_limit",
        "authenticated_rate_limit_ttl_seconds",
        "sandbox_create_rate_limit_ttl_seconds",
        "sandbox_lifecycle_rate_limit_ttl_seconds",
    }
)
# What has the organization's value to fall back on, in a region.
CLEARABLE_IN_REGION = frozenset(
    {
        "max_cpu_per_sandbox",
        "max_memory_per_sandbox",
        "max_disk_per_sandbox",
        "max_disk_per_non_ephemeral_sandbox",
    }
)
# Nothing and less means: as many as the installation can.
_UNBOUNDED = "max_concurrent_snapshot_processing"
_CLASSES = frozenset({"", "container"})


class QuotaInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "QUOTA_INVALID"


class SandboxClassUnknown(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SANDBOX_CLASS_UNKNOWN"


class RegionQuotaExists(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "REGION_QUOTA_EXISTS"


class RegionQuotaNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGION_QUOTA_NOT_FOUND"


def changes_of(
    told: Mapping[str, int], cleared: Iterable[str], clearable: frozenset[str]
) -> dict[str, int | None]:
    """Return the new values by name, None for what is set back; refuse what cannot be counted."""
    for name, value in told.items():
        least = 1 if name in CLEARABLE else 0
        if value < least and name != _UNBOUNDED:
            raise QuotaInvalid(f"{public(name)} is at least {least}", field=public(name))
    emptied = set(cleared)
    for name in sorted(emptied):
        if name not in clearable or name in told:
            shown = public(name)[:100]
            raise QuotaInvalid(f"{shown} cannot be set back by this request", field=shown)
    return {**told, **dict.fromkeys(sorted(emptied))}


def check_class(sandbox_class: str) -> None:
    if not has_class(sandbox_class):
        raise SandboxClassUnknown("this installation runs sandboxes of class `container` only")


def has_class(sandbox_class: str) -> bool:
    return sandbox_class in _CLASSES


def public(name: str) -> str:
    """Return a field's name as the public API spells it."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
