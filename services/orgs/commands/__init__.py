"""Changes, one module a noun. Each runs in the caller's transaction and opens none."""
