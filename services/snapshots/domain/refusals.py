"""What a caller may not have."""

from chassis.errors import Kind, Refusal


class SnapshotNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "SNAPSHOT_NOT_FOUND"


class IdRequired(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SNAPSHOT_ID_REQUIRED"


class SnapshotGeneral(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "SNAPSHOT_GENERAL"


class StateConflict(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SNAPSHOT_STATE_CONFLICT"


class NameTaken(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "SNAPSHOT_NAME_TAKEN"


class QuotaExceeded(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SNAPSHOT_QUOTA_EXCEEDED"


class BuildNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "BUILD_NOT_FOUND"


class NameInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SNAPSHOT_NAME_INVALID"


class ImageRefInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "IMAGE_REF_INVALID"


class ImageRefUnpinned(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "IMAGE_REF_UNPINNED"


class EntrypointInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "ENTRYPOINT_INVALID"


class ResourcesInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "RESOURCES_INVALID"


class ResourcesExceedLimit(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "RESOURCES_EXCEED_LIMIT"


class ImageOrBuildRequired(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "IMAGE_OR_BUILD_REQUIRED"


class ImageAndBuild(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "IMAGE_AND_BUILD"


class EntrypointWithBuild(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "ENTRYPOINT_WITH_BUILD"


class ContextHashInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "CONTEXT_HASH_INVALID"


class DockerfileInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "DOCKERFILE_INVALID"


# What is told in front of what is missing.
NO_BUILDS = "this installation builds no Dockerfiles"


class BuilderUnavailable(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "BUILDER_UNAVAILABLE"


class DefaultRegionMissing(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "DEFAULT_REGION_MISSING"


class RegionNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "REGION_NOT_FOUND"


class RegionForbidden(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "REGION_FORBIDDEN"


class OrganizationSuspended(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED"


class OrganizationGone(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "ORGANIZATION_FORBIDDEN"


class VersionNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "VERSION_NOT_FOUND"


class VersionStateConflict(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "VERSION_STATE_CONFLICT"


class ShareNotFound(Refusal):
    kind, reason = Kind.NOT_FOUND, "SHARE_NOT_FOUND"


class ShareReceiverInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SHARE_RECEIVER_INVALID"


class ShareRightsInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SHARE_RIGHTS_INVALID"


class ShareExpiryInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "SHARE_EXPIRY_INVALID"


class ShareLimitReached(Refusal):
    kind, reason = Kind.FAILED_PRECONDITION, "SHARE_LIMIT_REACHED"


class ShareNameGeneral(Refusal):
    kind, reason = Kind.ALREADY_EXISTS, "SHARE_NAME_GENERAL"


class UseForbidden(Refusal):
    kind, reason = Kind.PERMISSION_DENIED, "SNAPSHOT_USE_FORBIDDEN"


class PageInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "PAGE_INVALID"


class UseInvalid(Refusal):
    kind, reason = Kind.INVALID_ARGUMENT, "USE_INVALID"


class Busy(Refusal):
    """Somebody else changed the same snapshot over and over; nothing was done."""

    kind, reason = Kind.ABORTED, "SNAPSHOT_BUSY"


class LimitsOutdated(Exception):
    """The limits that something was to be made under hold no longer: ask for them again. Never told to a caller."""
