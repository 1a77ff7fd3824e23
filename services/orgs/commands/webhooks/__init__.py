"""Changes of endpoints, of the messages to them and of their delivery."""
