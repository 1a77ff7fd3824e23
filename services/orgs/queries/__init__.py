"""Reads, one module a noun: one statement each, rows by position, as the conversions take them."""
