"""How this context stores what it keeps, one module a noun."""

from chassis.schema import describe
from services.orgs.tables.audit import AuditCount, AuditRecord
from services.orgs.tables.base import Base
from services.orgs.tables.invitations import Invitation, InvitationRole, Mail
from services.orgs.tables.members import Member, MemberRoleAssignment, Person, Role
from services.orgs.tables.organizations import Organization
from services.orgs.tables.regions import Region, RegionQuota, RegionUsage
from services.orgs.tables.webhooks import (
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
)

__all__ = [
    "AuditCount",
    "AuditRecord",
    "Base",
    "Invitation",
    "InvitationRole",
    "Mail",
    "Member",
    "MemberRoleAssignment",
    "Organization",
    "Person",
    "Region",
    "RegionQuota",
    "RegionUsage",
    "Role",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookEndpoint",
    "WebhookMessage",
]

describe(Base.metadata)
