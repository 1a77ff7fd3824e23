"""The contexts, strangers to each other."""
