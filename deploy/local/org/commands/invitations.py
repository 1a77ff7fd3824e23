"""Invitations, of an organization and to oneself."""

from deploy.local.org.command import Argument, Command, at
from deploy.local.org.commands.access import AS, OF_ROLES

_ALL = "/organizations/{organizationId}/invitations"
_ONE = f"{_ALL}/{{invitationId}}"
_MINE = "/organizations/invitations"
_ID = at("INVITATION", "invitationId", "id of the invitation")
_EXPIRES = Argument("--expires-at", "expiresAt", "until when it may be accepted (ISO 8601)")
_COLUMNS = ("id", "email", "role", "assignedRoles", "status", "expiresAt")

COMMANDS = (
    Command(
        noun="invitation",
        verb="list",
        path=_ALL,
        help="list those that wait for an answer",
        columns=_COLUMNS,
        pages=True,
    ),
    Command(
        noun="invitation",
        verb="create",
        method="POST",
        path=_ALL,
        help="invite somebody",
        arguments=(Argument("EMAIL", "email", "whom"), AS, OF_ROLES, _EXPIRES),
        creates=True,
    ),
    Command(
        noun="invitation",
        verb="update",
        method="PUT",
        path=_ONE,
        help="change what is offered",
        arguments=(_ID, AS, OF_ROLES, _EXPIRES),
        conditional=True,
    ),
    Command(
        noun="invitation",
        verb="cancel",
        method="POST",
        path=f"{_ONE}/cancel",
        help="take it back",
        arguments=(_ID,),
    ),
    Command(
        noun="invitation",
        verb="resend",
        method="POST",
        path=f"{_ONE}/resend",
        help="send the mail again",
        arguments=(_ID,),
    ),
    Command(
        noun="invitation",
        verb="mine",
        path=_MINE,
        help="list those that wait for your answer",
        columns=("id", "organizationName", "invitedBy", "role", "expiresAt"),
        pages=True,
    ),
    Command(
        noun="invitation",
        verb="accept",
        method="POST",
        path=f"{_MINE}/{{invitationId}}/accept",
        help="join",
        arguments=(_ID,),
    ),
    Command(
        noun="invitation",
        verb="decline",
        method="POST",
        path=f"{_MINE}/{{invitationId}}/decline",
        help="do not join",
        arguments=(_ID,),
    ),
)
