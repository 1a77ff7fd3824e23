"""Which store it is."""

from services.snapshots.contexts.settings import ContextsSettings
from services.snapshots.store.layout import OciLayoutStore
from services.snapshots.store.port import Store
from services.snapshots.worker.settings import AuditSettings


def store_of(settings: AuditSettings, contexts: ContextsSettings | None) -> Store:
    """Open the store that is configured."""
    settings.store_path.mkdir(mode=0o700, parents=True, exist_ok=True)
    layout = OciLayoutStore(settings.store_path)
    if not settings.store_bucket:
        return layout
    if contexts is None or not contexts.endpoint:
        raise ValueError("SNAPSHOTS_STORE_BUCKET is at SNAPSHOTS_CONTEXTS_ENDPOINT, which is unset")
    from services.snapshots.contexts.contexts import bucket_of
    from services.snapshots.store.bucket import BucketStore

    return BucketStore(bucket_of(contexts, settings.store_bucket), layout)
