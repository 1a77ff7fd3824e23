"""API keys of an organization."""

from deploy.local.org.command import Argument, Command, at, filter_, number, or_none
from deploy.local.org.commands.access import PERMISSIONS

_ONE, _OF_USER = "/api-keys/{name}", "/api-keys/{userId}/{name}"
_NAME = at("NAME", "name", "what the key is called")
_CHANGED = Argument(
    "--permission",
    "permissions",
    "what it may do from now on; may be given several times",
    many=True,
    empty=False,
)

COMMANDS = (
    Command(
        noun="key",
        verb="list",
        path="/api-keys",
        help="list your keys; an owner sees everybody's",
        arguments=(
            filter_("--unused-for-days", "unusedForDays", "only those not used so long", number),
        ),
        columns=("name", "value", "userId", "permissions", "lastUsedAt", "expiresAt"),
        by_header=True,
        pages=True,
    ),
    Command(
        noun="key",
        verb="create",
        method="POST",
        path="/api-keys",
        help="make one; the secret is shown once",
        arguments=(
            Argument("NAME", "name", "what the key is called"),
            PERMISSIONS,
            Argument("--expires-at", "expiresAt", "until when it is good (ISO 8601)"),
        ),
        by_header=True,
        creates=True,
    ),
    Command(
        noun="key",
        verb="update",
        method="PATCH",
        path=_ONE,
        of_user=_OF_USER,
        help="change what it may do and until when",
        arguments=(
            _NAME,
            _CHANGED,
            Argument(
                "--expires-at",
                "expiresAt",
                "until when it is good (ISO 8601), or none: for good",
                kind=or_none(str),
            ),
        ),
        by_header=True,
    ),
    Command(
        noun="key",
        verb="rotate",
        method="POST",
        path=f"{_ONE}/rotate",
        of_user=f"{_OF_USER}/rotate",
        help="give it another secret, which is shown once",
        arguments=(
            _NAME,
            Argument(
                "--overlap-seconds",
                "overlapSeconds",
                "how long the old secret stays good",
                kind=number,
            ),
        ),
        by_header=True,
    ),
    Command(
        noun="key",
        verb="delete",
        method="DELETE",
        path=_ONE,
        of_user=_OF_USER,
        help="delete it",
        arguments=(_NAME,),
        by_header=True,
    ),
)
