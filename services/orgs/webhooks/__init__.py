"""The way of messages to the endpoints of organizations."""
