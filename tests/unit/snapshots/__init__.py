"""The snapshots context, without I/O."""
