"""auth: people, their credentials, and the word on who is calling.

User: a person. API key: a secret held by a person. Account key: a key bound to its holder instead of an organization.
Caller: who calls, established from a credential. Revocation: the word that a caller is one no longer.
"""
