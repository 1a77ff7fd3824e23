"""Members, roles, and accounts for programs."""

from deploy.local.org.command import Argument, Command, at

_ONE = "/organizations/{organizationId}"
_USER = at("USER", "userId", "id of the user")
_ROLE = at("ROLE", "roleId", "id of the role")
_ACCOUNT = at("ACCOUNT", "accountId", "id of the account")
_MEMBERS = ("userId", "name", "email", "role", "assignedRoles", "createdAt")
_ROLES = ("id", "name", "permissions", "isGlobal", "description")
OF_ROLES = Argument(
    "--role-id", "assignedRoleIds", "id of a role; may be given several times", many=True
)
AS = Argument("--role", "role", "owner or member", choices=("owner", "member"), required=True)
PERMISSIONS = Argument(
    "--permission", "permissions", "such as write:snapshots; may be given several times", many=True
)
_WORDS = (
    Argument("--name", "name", "what it is called", required=True),
    Argument("--description", "description", "what it is for", required=True),
    Argument(
        "--permission",
        "permissions",
        "such as write:snapshots; may be given several times",
        many=True,
        required=True,
    ),
)

COMMANDS = (
    Command(
        noun="member",
        verb="list",
        path=f"{_ONE}/users",
        help="list the members",
        columns=_MEMBERS,
        pages=True,
    ),
    Command(
        noun="member",
        verb="get",
        path=f"{_ONE}/users/{{userId}}",
        help="show one",
        arguments=(_USER,),
    ),
    Command(
        noun="member",
        verb="set-access",
        method="POST",
        path=f"{_ONE}/users/{{userId}}/access",
        help="make a member owner or member, with these roles and no others",
        arguments=(_USER, AS, OF_ROLES),
        conditional=True,
    ),
    Command(
        noun="member",
        verb="remove",
        method="DELETE",
        path=f"{_ONE}/users/{{userId}}",
        help="end a membership, and delete the member's keys",
        arguments=(_USER,),
    ),
    Command(
        noun="role",
        verb="list",
        path=f"{_ONE}/roles",
        help="list the roles",
        columns=_ROLES,
        pages=True,
    ),
    Command(
        noun="role",
        verb="get",
        path=f"{_ONE}/roles/{{roleId}}",
        help="show one",
        arguments=(_ROLE,),
    ),
    Command(
        noun="role",
        verb="create",
        method="POST",
        path=f"{_ONE}/roles",
        help="make one",
        arguments=_WORDS,
        creates=True,
    ),
    Command(
        noun="role",
        verb="update",
        method="PUT",
        path=f"{_ONE}/roles/{{roleId}}",
        help="replace what it is called and what it permits",
        arguments=(_ROLE, *_WORDS),
        conditional=True,
    ),
    Command(
        noun="role",
        verb="delete",
        method="DELETE",
        path=f"{_ONE}/roles/{{roleId}}",
        help="delete one that nobody holds",
        arguments=(_ROLE,),
    ),
    Command(
        noun="service-account",
        verb="create",
        method="POST",
        path=f"{_ONE}/service-accounts",
        help="make one",
        arguments=(Argument("NAME", "name", "what it is called"), OF_ROLES),
        creates=True,
    ),
    Command(
        noun="service-account",
        verb="key-create",
        method="POST",
        path=f"{_ONE}/service-accounts/{{accountId}}/api-keys",
        help="make a key of it; the secret is shown once",
        arguments=(
            _ACCOUNT,
            Argument("NAME", "name", "what the key is called"),
            PERMISSIONS,
            Argument("--expires-at", "expiresAt", "until when it is good (ISO 8601)"),
        ),
        creates=True,
    ),
    Command(
        noun="service-account",
        verb="key-list",
        path=f"{_ONE}/service-accounts/{{accountId}}/api-keys",
        help="list its keys",
        arguments=(_ACCOUNT,),
        columns=("name", "value", "permissions", "lastUsedAt", "expiresAt"),
        pages=True,
    ),
)
