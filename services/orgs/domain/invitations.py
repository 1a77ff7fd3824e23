"""What an invitation is and may become."""

from enum import StrEnum


class InvitationStatus(StrEnum):
    """As published, and `lapsed`: expired, and another one of the same address came after it; shown as pending."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    LAPSED = "lapsed"
