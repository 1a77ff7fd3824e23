"""The served document: what FastAPI knows of the routes, and what only the gateway knows."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from chassis.grpc.access import Rule
from gateway.access import rule_of
from gateway.paths import PREFIX

_ORGANIZATION = {
    "name": "X-Daytona-Organization-ID",
    "in": "header",
    "required": False,
    "description": "The organization to act in, for credentials that belong to a person",
    "schema": {"type": "string"},
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key with the same request gets the first answer again for 24 hours",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}
_PAGE = (
    {
        "name": "X-Page-Size",
        "in": "header",
        "required": False,
        "description": "How many items to answer at a time, up to 1000; by default all",
        # A text, as every header is: a number that is sent as one would not be valid.
        "schema": {"type": "string", "pattern": "^([0-9]{1,3}|1000)$"},
    },
    {
        "name": "X-Page-Token",
        "in": "header",
        "required": False,
        "description": "Where to go on: what X-Next-Page-Token of the page before said",
        "schema": {"type": "string"},
    },
)
_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "Only if it is still what this ETag was answered with",
    "schema": {"type": "string", "pattern": '^(\\*|"[0-9]{1,18}"|[0-9]{1,18})$'},
}
_CREATES = {
    "createSnapshot",
    "bulkSnapshots",
    "setSnapshotImage",
    "createApiKey",
    "createOrganization",
    "createOrganizationRole",
    "createServiceAccount",
    "createOrganizationInvitation",
    "createRegion",
    "createRegistry",
    "createServiceAccountApiKey",
    "adminCreateOrganization",
    "adminCreateUser",
    "createWebhookEndpoint",
}
_PAGED = {
    "listOrganizations",
    "listOrganizationRoles",
    "listOrganizationMembers",
    "listOrganizationInvitations",
    "listApiKeys",
    "listServiceAccountApiKeys",
    "adminListUsers",
}
# Published with the header although nothing is chosen by it: a key says itself where it belongs, or the path does.
_HEADER_ANYWAY = {
    "getCurrentApiKey",
    "WebhookController_getAppPortalAccess",
    "WebhookController_getInitializationStatus",
    "WebhookController_initializeWebhooks",
    "WebhookController_refreshEndpoints",
}
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "An API key, or an access token of the configured issuer",
}


def document(app: FastAPI) -> bytes:
    """Return the document, encoded."""
    rules = {
        route.operation_id: rule_of(route.endpoint)
        for route in app.routes
        if isinstance(route, APIRoute)
    }
    described = get_openapi(
        title=app.title,
        version=app.version,
        summary="Snapshots for AI-agent sandboxes, organizations and access",
        routes=app.routes,
    )
    described["servers"] = [{"url": PREFIX}]
    described["paths"] = {
        path.removeprefix(PREFIX): item for path, item in described["paths"].items()
    }
    for path, item in described["paths"].items():
        for operation in item.values():
            _complete(path, operation, rules[operation["operationId"]])
    schemas = described["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    described["components"]["securitySchemes"] = {"bearer": _BEARER}
    return json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()


def _complete(path: str, operation: dict[str, Any], rule: Rule) -> None:
    # What FastAPI would answer to a violation is answered as 400 here.
    operation["responses"].pop("422", None)
    parameters = operation.setdefault("parameters", [])
    if not rule.public:
        operation["security"] = [{"bearer": []}]
    by_header = rule.organization_role and "{organizationId}" not in path
    if by_header or operation["operationId"] in _HEADER_ANYWAY:
        parameters.append(_ORGANIZATION)
    if operation["operationId"] in _CREATES:
        parameters.append(_IDEMPOTENCY)
    if operation["operationId"] in _PAGED:
        parameters += _PAGE
    if "412" in operation["responses"]:
        parameters.append(_IF_MATCH)
