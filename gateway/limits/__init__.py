"""Limits by counting: requests of an organization or a user, failed authentications of an address."""
