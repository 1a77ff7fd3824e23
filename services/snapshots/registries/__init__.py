"""How registries are spoken to, and what opens the installation's own."""
