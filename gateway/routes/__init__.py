"""The operations, one module a tag, one function an operation."""
