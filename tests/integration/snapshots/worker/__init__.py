"""The worker against a real registry, a real database and a real store."""
