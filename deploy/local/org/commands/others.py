"""Regions of an organization, and its audit log."""

from deploy.local.org.command import Argument, Command, at, filter_, number, or_none

_ONE = "/regions/{id}"
_ID = at("REGION", "id", "id of the region")
_URLS = {
    "--proxy-url": "proxyUrl",
    "--ssh-gateway-url": "sshGatewayUrl",
    "--snapshot-manager-url": "snapshotManagerUrl",
    "--otel-endpoint": "otelEndpoint",
}
_SECRETS = ("proxy-api-key", "ssh-gateway-api-key", "snapshot-manager-credentials")
_AUDIT = "/audit/organizations/{organizationId}"
_FILTERS = (
    filter_("--from", "from", "from this moment on (ISO 8601)"),
    filter_("--to", "to", "up to this moment (ISO 8601)"),
    filter_("--action", "action", "only this action, such as create"),
    filter_("--actor-id", "actorId", "only what this user did"),
    filter_("--target-type", "targetType", "only what was done to this kind of thing"),
    filter_("--target-id", "targetId", "only what was done to this one"),
    filter_("--status-code", "statusCode", "only what was answered so", number),
)

COMMANDS = (
    Command(
        noun="region",
        verb="list",
        path="/regions",
        help="list the regions there are for the organization",
        columns=("id", "name", "regionType", "proxyUrl", "sshGatewayUrl", "snapshotManagerUrl"),
        by_header=True,
        pages=True,
    ),
    Command(
        noun="region", verb="get", path=_ONE, help="show one", arguments=(_ID,), by_header=True
    ),
    Command(
        noun="region",
        verb="create",
        method="POST",
        path="/regions",
        help="make one; its secrets are shown once",
        arguments=(
            Argument("NAME", "name", "what it is called"),
            *(Argument(flag, name, "where it is") for flag, name in _URLS.items()),
        ),
        by_header=True,
        creates=True,
    ),
    Command(
        noun="region",
        verb="update",
        method="PATCH",
        path=_ONE,
        help="change where its parts are",
        arguments=(
            _ID,
            *(
                Argument(flag, name, "where it is, or none", kind=or_none(str))
                for flag, name in _URLS.items()
            ),
        ),
        by_header=True,
    ),
    Command(
        noun="region",
        verb="delete",
        method="DELETE",
        path=_ONE,
        help="delete one that is not used",
        arguments=(_ID,),
        by_header=True,
    ),
    Command(
        noun="region",
        verb="regenerate",
        method="POST",
        path=f"{_ONE}/regenerate-{{secret}}",
        help="make another secret of it, which is shown once",
        arguments=(_ID, at("SECRET", "secret", "which one", choices=_SECRETS)),
        by_header=True,
    ),
    Command(
        noun="audit",
        verb="list",
        path=_AUDIT,
        help="list what happened, newest first",
        arguments=_FILTERS,
        columns=("createdAt", "actorEmail", "action", "targetType", "targetId", "statusCode"),
        pages=True,
        items="items",
    ),
    Command(
        noun="audit",
        verb="export",
        path=f"{_AUDIT}/export",
        help="print all that happened, oldest first, one JSON object a line",
        arguments=_FILTERS,
        streams=True,
    ),
)
