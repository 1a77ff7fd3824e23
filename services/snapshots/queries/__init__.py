"""Reads of snapshots and of the work on them. Each about one organization is scoped to it; none changes a row."""
