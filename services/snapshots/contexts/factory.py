"""From settings to what does the work; nothing is imported that the process does not use."""

from typing import TYPE_CHECKING

from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain.contexts import Contexts, NoContexts
from services.snapshots.domain.uploads import NoUploads, Uploads

if TYPE_CHECKING:
    from services.snapshots.contexts.contexts import S3Contexts


def contexts_from(settings: ContextsSettings) -> Contexts:
    """Return what brings uploaded contexts to a build."""
    return aging_from(settings) if settings.endpoint else NoContexts()


def aging_from(settings: ContextsSettings) -> "S3Contexts":
    """Return the same where there is an endpoint; it also throws away what is old."""
    from services.snapshots.contexts.contexts import S3Contexts, bucket_of

    bytes_, entries = settings.max_bytes, settings.max_entries
    return S3Contexts(bucket_of(settings), most_bytes=bytes_, most_entries=entries)


def uploads_from(settings: ContextsSettings) -> Uploads:
    """Return what opens the storage to uploaders."""
    if not settings.endpoint:
        return NoUploads()
    from services.snapshots.contexts.tokens import RoleUploads

    return RoleUploads(settings)
