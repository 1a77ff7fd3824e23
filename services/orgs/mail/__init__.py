"""Mails of this context: what they say, how they are sent, and that each is sent."""
