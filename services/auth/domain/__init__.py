"""What auth knows about people, keys and credentials. Pure: no I/O, no framework."""
