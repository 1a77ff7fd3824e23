"""Dockerfiles become images: a builder with its real tools."""
