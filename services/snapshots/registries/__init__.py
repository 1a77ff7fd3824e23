"""What is said about registries from outside: how they are spoken to."""
