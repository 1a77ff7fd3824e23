"""Images from container registries into the store."""
