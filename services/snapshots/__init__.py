"""snapshots: names for artifacts that sandboxes start from, and the work that makes them.

Snapshot: a name for an artifact. Artifact: an image in the store, by digest. Store: the bytes, content-addressed.
Pull: the work that brings an image into the store. Usage: what an organization has of its snapshot quota.
"""
