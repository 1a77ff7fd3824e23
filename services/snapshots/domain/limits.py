"""What an organization may use, as orgs says it."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.snapshots.domain.refusals import (
    DefaultRegionMissing,
    OrganizationSuspended,
    RegionForbidden,
    RegionNotFound,
    ResourcesExceedLimit,
)


@dataclass(frozen=True, slots=True)
class Maxima:
    """The most of one sandbox. None: nothing of its own is said."""

    cpu: int | None
    memory: int | None
    disk: int | None


@dataclass(frozen=True, slots=True)
class Region:
    """A region that the organization may know of. Shared and not available: known, but not granted."""

    available: bool
    shared: bool
    maxima: Maxima


@dataclass(frozen=True, slots=True)
class Suspension:
    """Moments are Unix times. `until` None: until lifted. `cleanup`: when what is in use goes out of use."""

    reason: str
    until: float | None
    cleanup: float

    def holds(self, now: float) -> bool:
        return self.until is None or now < self.until

    def cleans_up(self, now: float) -> bool:
        """Tell whether it ends what is in use, now or later: it holds, and lasts for so long."""
        return self.holds(max(now, self.cleanup))


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits, regions and suspension of one organization, as of one of its revisions."""

    organization_id: str
    revision: int
    snapshot_quota: int
    # GiB
    max_snapshot_size: int
    maxima: Maxima
    default_region_id: str
    regions: Mapping[str, Region]
    suspension: Suspension | None
    # Without use for so long, a snapshot goes out of use. 0: none does.
    idle_minutes: int = 0
    # What is inactive is activated when a sandbox is to start from it.
    auto_activation: bool = False

    def check_not_suspended(self, now: float) -> None:
        suspension = self.suspension
        if suspension is not None and suspension.holds(now):
            why = f": {suspension.reason}" if suspension.reason else ""
            raise OrganizationSuspended(
                f"organization {self.organization_id} is suspended{why}",
                organization=self.organization_id,
                suspensionReason=suspension.reason,
            )

    def region(self, asked: str) -> str:
        """Return the region to use when `asked` was asked for (empty: the default one)."""
        if not self.default_region_id:
            raise DefaultRegionMissing("the organization has no default region: choose one first")
        chosen = asked or self.default_region_id
        region = self.regions.get(chosen)
        if region is not None and region.shared and not region.available:
            raise RegionForbidden(
                f"region {chosen} is not available to the organization", region=chosen
            )
        self.check_available(chosen)
        return chosen

    def check_available(self, region_id: str) -> None:
        if not self.available(region_id):
            raise RegionNotFound(f"region {region_id} does not exist", region=region_id)

    def available(self, region_id: str) -> bool:
        region = self.regions.get(region_id)
        return region is not None and region.available

    def check_resources(self, region_id: str, *, cpu: int, memory: int, disk: int) -> None:
        """Refuse a sandbox larger than the region, or else the organization, lets one be."""
        here = self.regions[region_id].maxima
        for what, asked, local, overall in (
            ("cpu", cpu, here.cpu, self.maxima.cpu),
            ("memory", memory, here.memory, self.maxima.memory),
            ("disk", disk, here.disk, self.maxima.disk),
        ):
            most = overall if local is None else local
            if most is not None and asked > most:
                raise ResourcesExceedLimit(
                    f"{what} may be at most {most}", resource=what, maximum=str(most)
                )
