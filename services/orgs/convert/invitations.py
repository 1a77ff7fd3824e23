"""Invitations to protobuf; the order of the columns is that of `queries.columns`."""

from typing import Any

from ratoon.orgs.v1 import invitation_pb2 as pb
from services.orgs.convert.members import ROLES
from services.orgs.convert.roles import Roles
from services.orgs.convert.times import micros_of, stamp
from services.orgs.domain.invitations import Delivery

_STATUSES = {
    "pending": pb.INVITATION_STATUS_PENDING,
    "accepted": pb.INVITATION_STATUS_ACCEPTED,
    "declined": pb.INVITATION_STATUS_DECLINED,
    "cancelled": pb.INVITATION_STATUS_CANCELLED,
    "lapsed": pb.INVITATION_STATUS_PENDING,
}
_DETAILS = 11


def invitations_to_proto(rows: list[Any]) -> list[pb.Invitation]:
    """Return the invitations; rows of one follow each other, and each tells of one of its roles."""
    invitations: list[pb.Invitation] = []
    roles, last = Roles(), None
    for row in rows:
        if row[0] != last:
            last = row[0]
            invitations.append(_invitation_to_proto(*row[:_DETAILS]))
        roles.add(invitations[-1].roles, row[_DETAILS:])
    return invitations


def with_links(invitations: list[pb.Invitation], delivery: Delivery) -> list[pb.Invitation]:
    """Say where they can be accepted, where no mail does."""
    if not delivery.by_mail:
        for invitation in invitations:
            invitation.link = delivery.link(invitation.id)
    return invitations


def position_of(invitation: pb.Invitation) -> tuple[int, str]:
    """Return where an invitation stands in the list."""
    return micros_of(invitation.create_time), invitation.id


def _invitation_to_proto(*columns: Any) -> pb.Invitation:
    id_, created, updated, organization, name, email, invited_by, *rest = columns
    role, expires, status, revision = rest
    return pb.Invitation(
        id=id_,
        create_time=stamp(created),
        update_time=stamp(updated),
        organization_id=organization,
        organization_name=name,
        email=email,
        invited_by=invited_by,
        role=ROLES[role],
        expire_time=stamp(expires),
        status=_STATUSES[status],
        revision=revision,
    )
