"""How snapshots, artifacts and the work on them are stored."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from chassis.db import metadata
from chassis.schema import describe


class Base(DeclarativeBase):
    metadata = metadata()
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class, as it is
        str: Text,
        datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text),
        dict[str, Any]: JSONB,
    }


describe(Base.metadata)


class Artifact(Base):
    """An image of one organization; the row is the organization's grant to its blobs."""

    __tablename__ = "artifacts"
    __table_args__ = (UniqueConstraint("organization_id", "manifest_digest"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    manifest_digest: Mapped[str]
    repository: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    entrypoint: Mapped[list[str] | None]
    config: Mapped[dict[str, Any]]
    # Its blobs are in the store. False: they must be fetched again, by digest.
    stored: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ArtifactDigest(Base):
    """A digest by which the organization got an artifact: of its manifest, or of an index that names it."""

    __tablename__ = "artifact_digests"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    artifact_id: Mapped[UUID] = mapped_column(
        ForeignKey("artifacts.id", ondelete="CASCADE"), index=True
    )


class Blob(Base):
    """Bytes in the store, or on their way there. Shared by all organizations; see commands.blobs."""

    __tablename__ = "blobs"

    digest: Mapped[str] = mapped_column(primary_key=True)
    size: Mapped[int] = mapped_column(BigInteger)
    # Of one that was read as a layer: the digest of what it unpacks to, how large that is, and how many entries it has.
    diff_id: Mapped[str | None]
    unpacked_bytes: Mapped[int | None] = mapped_column(BigInteger)
    entries: Mapped[int | None]


class ArtifactBlob(Base):
    """An artifact needs a blob."""

    __tablename__ = "artifact_blobs"

    artifact_id: Mapped[UUID] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"), primary_key=True, index=True)


class Build(Base):
    """A Dockerfile that an organization has or had built. Kept as long as a snapshot tells of it."""

    __tablename__ = "builds"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    # What it is recognized by: see domain.build.
    key: Mapped[str]
    # The published name of the same contents.
    ref: Mapped[str]
    dockerfile: Mapped[str]
    context_hashes: Mapped[list[str]]
    # building, built, failed or cancelled.
    state: Mapped[str] = mapped_column(server_default=text("'building'"))
    artifact_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("artifacts.id", ondelete="SET NULL")
    )
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


class BuildLog(Base):
    """A piece of a build's log, and at which byte of it the piece begins."""

    __tablename__ = "build_logs"

    build_id: Mapped[UUID] = mapped_column(
        ForeignKey("builds.id", ondelete="CASCADE"), primary_key=True
    )
    at: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    data: Mapped[bytes]


class Pull(Base):
    """Work: an image that an organization's snapshots wait for, from a registry or, with `build_id`, from a builder.

    Gone when done, failed or wanted by nobody.
    """

    __tablename__ = "pulls"
    __table_args__ = (UniqueConstraint("organization_id", "image_ref", "digest"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    image_ref: Mapped[str]
    # Fetch this manifest again, whatever the reference names today. Empty: resolve the reference. Of a build, its id, so
    # that builds are told apart.
    digest: Mapped[str] = mapped_column(server_default=text("''"))
    running: Mapped[bool] = mapped_column(server_default=text("false"))
    # When it may be claimed; while it runs, the end of the lease.
    due_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
    worker: Mapped[str] = mapped_column(server_default=text("''"))
    attempt: Mapped[int] = mapped_column(server_default=text("0"))
    # Set by the first claim.
    deadline_at: Mapped[datetime | None]
    phase: Mapped[str] = mapped_column(server_default=text("'waiting'"))
    bytes_done: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    bytes_total: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id"))


class Turn(Base):
    """When work of an organization was last taken up: the one that waited longest is next."""

    __tablename__ = "turns"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    served_at: Mapped[datetime]


class PullBlob(Base):
    """A pull needs a blob: it is not collected. `fetched`: the organization has shown that it may have it."""

    __tablename__ = "pull_blobs"

    pull_id: Mapped[UUID] = mapped_column(ForeignKey("pulls.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("blobs.digest"), primary_key=True, index=True)
    fetched: Mapped[bool]


class Garbage(Base):
    """A blob that lost a reference, to be looked at."""

    __tablename__ = "garbage"

    digest: Mapped[str] = mapped_column(primary_key=True)


class Usage(Base):
    """What an organization has: places of its quota in use, and own snapshots that are not general."""

    __tablename__ = "usage"
    __table_args__ = (
        CheckConstraint("used >= 0 AND used <= ceiling", name="quota"),
        CheckConstraint("total >= 0", name="total"),
    )

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    used: Mapped[int] = mapped_column(server_default=text("0"))
    total: Mapped[int] = mapped_column(server_default=text("0"))
    # The quota as of the last place taken: the database itself refuses one too many.
    ceiling: Mapped[int] = mapped_column(server_default=text("0"))
    # The organization was deleted: nothing is made for it any more.
    closed: Mapped[bool] = mapped_column(server_default=text("false"))
    # Nothing is made under limits of an older revision.
    limits_revision: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class Review(Base):
    """An organization that is to be looked at: its limits may have changed, or its suspension becomes serious."""

    __tablename__ = "reviews"

    organization_id: Mapped[UUID] = mapped_column(primary_key=True)
    due_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class Snapshot(Base):
    """A name for an artifact."""

    __tablename__ = "snapshots"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    name: Mapped[str] = mapped_column(Text(collation="C"))
    image_ref: Mapped[str]
    state: Mapped[str]
    # Its place in the published list of states, to sort by.
    state_rank: Mapped[int] = mapped_column(SmallInteger, Computed("state", persisted=True))
    # Grows with every move.
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    general: Mapped[bool] = mapped_column(server_default=text("false"))
    cpu: Mapped[int]
    gpu: Mapped[int]
    memory: Mapped[int]
    disk: Mapped[int]
    entrypoint: Mapped[list[str] | None]
    region_ids: Mapped[list[str]]
    artifact_id: Mapped[UUID | None] = mapped_column(ForeignKey("artifacts.id"))
    # Of the artifact, which never changes: lists need no join.
    ref: Mapped[str] = mapped_column(server_default=text("''"))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    pull_id: Mapped[UUID | None] = mapped_column(ForeignKey("pulls.id"))
    error_code: Mapped[str] = mapped_column(server_default=text("''"))
    error_reason: Mapped[str] = mapped_column(server_default=text("''"))
    error_remedy: Mapped[str] = mapped_column(server_default=text("''"))
    source_sandbox_id: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id"))
    use_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    # The version that it is, and the last one that was asked for.
    version: Mapped[int] = mapped_column(server_default=text("1"))
    last_version: Mapped[int] = mapped_column(server_default=text("1"))
    # When that version was asked for, and by whom. NULL: when the snapshot was made.
    version_at: Mapped[datetime | None]
    version_by: Mapped[str] = mapped_column(server_default=text("''"))


class Registry(Base):
    """What opens a registry of images to an organization."""

    __tablename__ = "registries"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    name: Mapped[str]
    # As people see it, and as images name it.
    url: Mapped[str]
    host: Mapped[str]
    path: Mapped[str]
    project: Mapped[str]
    username: Mapped[str]
    # Sealed; see commands.sealed. NULL: there is none.
    password: Mapped[bytes | None]
    preferred: Mapped[bool] = mapped_column(server_default=text("false"))
    # Not when the transaction began: those who make several at once wait for each other.
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class PushGrant(Base):
    """What opens an organization's project in the installation's own registry, for a while."""

    __tablename__ = "push_grants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID] = mapped_column(index=True)
    # SHA-256: it is as random as a key.
    secret: Mapped[bytes]
    actions: Mapped[list[str]]
    # Who asked for it and by which key. Empty: nobody, a pull needs it.
    user_id: Mapped[str]
    api_key_id: Mapped[str]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


Index("ix_registries_created", Registry.organization_id, Registry.created_at.desc(), Registry.id)
Index(
    "uq_registries_preferred",
    Registry.organization_id,
    unique=True,
    postgresql_where=text("preferred"),
)


class Use(Base):
    """A sandbox started from a snapshot: told again, it is known. Forgotten after a week (commands.uses)."""

    __tablename__ = "uses"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    snapshot_id: Mapped[UUID]
    # Of the sandbox.
    organization_id: Mapped[UUID]
    used_at: Mapped[datetime]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)


class BulkJob(Base):
    """Something done to many snapshots of an organization. Forgotten a week after its end (commands.bulk)."""

    __tablename__ = "bulk_jobs"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    organization_id: Mapped[UUID]
    action: Mapped[str]
    total: Mapped[int]
    # The position of the item that is next.
    next: Mapped[int] = mapped_column(server_default=text("0"))
    done: Mapped[int] = mapped_column(server_default=text("0"))
    unchanged: Mapped[int] = mapped_column(server_default=text("0"))
    refused: Mapped[int] = mapped_column(server_default=text("0"))
    # Who asked for it, from where: what is done is done in that name.
    origin: Mapped[dict[str, Any]]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    touched_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


_UNFINISHED = text("finished_at IS NULL")
Index("ix_bulk_jobs_touched_at", BulkJob.touched_at, postgresql_where=_UNFINISHED)
Index("ix_bulk_jobs_organization_id", BulkJob.organization_id, postgresql_where=_UNFINISHED)
Index("ix_bulk_jobs_finished_at", BulkJob.finished_at)


class BulkItem(Base):
    """One snapshot of a job, as it was named, and what became of it."""

    __tablename__ = "bulk_items"

    job_id: Mapped[UUID] = mapped_column(
        ForeignKey("bulk_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    position: Mapped[int] = mapped_column(primary_key=True)
    given: Mapped[str]
    # None: what was given is no id.
    snapshot_id: Mapped[UUID | None]
    name: Mapped[str] = mapped_column(server_default=text("''"))
    outcome: Mapped[int] = mapped_column(SmallInteger, server_default=text("1"))
    code: Mapped[str] = mapped_column(server_default=text("''"))


class Version(Base):
    """What a snapshot was before, is about to be, or failed to become. What it is stands in its own row."""

    __tablename__ = "versions"

    snapshot_id: Mapped[UUID] = mapped_column(
        ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    image_ref: Mapped[str]
    state: Mapped[str]
    # NULL: it never had one, or has let it go.
    artifact_id: Mapped[UUID | None] = mapped_column(ForeignKey("artifacts.id"))
    # Empty: it never had an artifact.
    ref: Mapped[str] = mapped_column(server_default=text("''"))
    size_bytes: Mapped[int | None] = mapped_column(BigInteger)
    entrypoint: Mapped[list[str] | None]
    pull_id: Mapped[UUID | None] = mapped_column(ForeignKey("pulls.id"))
    # What it was built from. NULL: it was not.
    build_id: Mapped[UUID | None] = mapped_column(ForeignKey("builds.id"))
    error_code: Mapped[str] = mapped_column(server_default=text("''"))
    error_reason: Mapped[str] = mapped_column(server_default=text("''"))
    error_remedy: Mapped[str] = mapped_column(server_default=text("''"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_by: Mapped[str] = mapped_column(server_default=text("''"))


Index(
    "ix_versions_artifact_id", Version.artifact_id, postgresql_where=text("artifact_id IS NOT NULL")
)
Index("ix_versions_pull_id", Version.pull_id, postgresql_where=text("pull_id IS NOT NULL"))
Index("ix_versions_build_id", Version.build_id, postgresql_where=text("build_id IS NOT NULL"))


class Trim(Base):
    """A snapshot that has one version more, so that its oldest may have to let go of their bytes."""

    __tablename__ = "trims"

    snapshot_id: Mapped[UUID] = mapped_column(primary_key=True)


class LooseArtifact(Base):
    """An artifact that lost a reference without its snapshot's end, to be looked at."""

    __tablename__ = "loose_artifacts"

    artifact_id: Mapped[UUID] = mapped_column(primary_key=True)


class Share(Base):
    """What another organization may do with a snapshot. Nothing, once it has expired, whether the row is there or not."""

    __tablename__ = "shares"

    snapshot_id: Mapped[UUID] = mapped_column(
        ForeignKey("snapshots.id", ondelete="CASCADE"), primary_key=True
    )
    receiver_id: Mapped[UUID] = mapped_column(primary_key=True)
    # Of the snapshot, which never changes: a name is looked up among what is shared by one look into one index.
    name: Mapped[str] = mapped_column(Text(collation="C"))
    # It may be seen in any case.
    may_use: Mapped[bool]
    expires_at: Mapped[datetime | None]
    # Grows with every change.
    revision: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())


Index("ix_shares_expires_at", Share.expires_at, postgresql_where=Share.expires_at.is_not(None))
Index("ix_shares_received", Share.receiver_id, Share.name, Share.created_at, Share.snapshot_id)

_O, _CREATED = Snapshot.organization_id, Snapshot.created_at.desc()
_OWN = text("NOT general")


def _ordered(name: str, *keys: Any) -> None:
    Index(name, _O, *keys, Snapshot.id, postgresql_where=_OWN)


_ordered("ix_snapshots_created", _CREATED)
_ordered("ix_snapshots_used", Snapshot.last_used_at.desc().nulls_last(), _CREATED)
_ordered("ix_snapshots_used_asc", Snapshot.last_used_at, _CREATED)
_ordered("ix_snapshots_state", Snapshot.state_rank, _CREATED)
_ordered("ix_snapshots_state_desc", Snapshot.state_rank.desc(), _CREATED)
Index(
    "uq_snapshots_organization_id_name",
    _O,
    Snapshot.name,
    unique=True,
    postgresql_include=["id", "general"],
)
Index(
    "ix_snapshots_general",
    Snapshot.name,
    Snapshot.created_at,
    Snapshot.id,
    postgresql_where=text("general"),
)
Index("ix_snapshots_pull_id", Snapshot.pull_id, postgresql_where=text("pull_id IS NOT NULL"))
Index(
    "ix_snapshots_artifact_id",
    Snapshot.artifact_id,
    postgresql_where=text("artifact_id IS NOT NULL"),
)
Index("ix_snapshots_build_id", Snapshot.build_id, postgresql_where=text("build_id IS NOT NULL"))
Index(
    "uq_builds_building",
    Build.organization_id,
    Build.key,
    unique=True,
    postgresql_where=text("state = 'building'"),
)
Index(
    "ix_builds_built",
    Build.organization_id,
    Build.key,
    Build.created_at.desc(),
    postgresql_where=text("state = 'built'"),
)
Index("ix_builds_artifact_id", Build.artifact_id, postgresql_where=text("artifact_id IS NOT NULL"))
Index(
    "uq_pulls_build_id",
    Pull.build_id,
    unique=True,
    postgresql_where=text("build_id IS NOT NULL"),
)
Index("ix_snapshots_removing", Snapshot.updated_at, postgresql_where=text("state = 'removing'"))
# By when it was made or used last, whichever is later: see commands.idle.
Index(
    "ix_snapshots_idle",
    _O,
    func.greatest(Snapshot.created_at, Snapshot.last_used_at),
    postgresql_where=text("state = 'active'"),
)
Index(
    "ix_snapshots_source",
    _O,
    Snapshot.source_sandbox_id,
    postgresql_where=text("source_sandbox_id <> ''"),
)
Index(
    "ix_snapshots_grams",
    func.name_grams(_O, Snapshot.name),
    postgresql_using="gin",
)
