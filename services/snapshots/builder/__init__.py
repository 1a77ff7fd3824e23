"""Dockerfiles become images: each build is taken, isolated, limited, told of, and cleaned up after."""
