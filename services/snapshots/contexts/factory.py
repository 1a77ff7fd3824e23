"""From settings to what does the work; nothing is imported that the process does not use."""

from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.domain.contexts import Contexts, NoContexts
from services.snapshots.domain.uploads import NoUploads, Uploads


def contexts_from(settings: ContextsSettings) -> Contexts:
    """Return what brings uploaded contexts to a build."""
    if not settings.endpoint:
        return NoContexts()
    from services.snapshots.contexts.contexts import S3Contexts, bucket_of

    bytes_, entries = settings.max_bytes, settings.max_entries
    return S3Contexts(bucket_of(settings), most_bytes=bytes_, most_entries=entries)


def uploads_from(settings: ContextsSettings) -> Uploads:
    """Return what opens the storage to uploaders."""
    if not settings.endpoint:
        return NoUploads()
    from services.snapshots.contexts.tokens import RoleUploads

    return RoleUploads(settings)
