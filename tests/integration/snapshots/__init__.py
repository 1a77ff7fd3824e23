"""The snapshots context, over real sockets and a real PostgreSQL."""
