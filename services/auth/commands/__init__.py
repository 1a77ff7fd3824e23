"""Changes. Each is one statement, or runs in the caller's transaction; none makes a call to another context."""
