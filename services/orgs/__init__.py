"""orgs: organizations, who belongs to them, what they may use and where.

Organization: a group that shares resources. Member: a person in it, owner or not. Role: a named set of permissions.
Region: a group of machines. Limits: what an organization may use. Person: auth's user, as this context was told.
"""
