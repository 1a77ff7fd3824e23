"""Changes to snapshots and to the work on them. Each runs in the caller's transaction and opens none.

Locks are taken in one order everywhere, so that nobody waits in a circle: pull, snapshot, usage; and apart from
these: the store, then blobs by digest.
"""
