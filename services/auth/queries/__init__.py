"""Reads, each one statement on a plain connection; none changes a row."""
