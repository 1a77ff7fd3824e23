"""Rows to protobuf, one module a noun."""
