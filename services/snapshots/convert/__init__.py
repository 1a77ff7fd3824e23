"""Rows to protobuf, and requests to what the commands take, one module a noun."""
