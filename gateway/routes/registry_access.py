"""The way into the installation's own registry: a credential to push with, and the tokens that the registry asks for."""

import base64
import binascii
from typing import Annotated

from fastapi import Query

from gateway.access import PUBLIC, guarded, router
from gateway.call import Call
from gateway.errors import Problem
from gateway.schemas.errors import errors
from gateway.schemas.registries import (
    RegistryPushAccessDto,
    RegistryToken,
    access_from_proto,
    token_from_proto,
)
from ratoon.snapshots.v1 import registry_service_pb2 as pb

operations = router("")
_REGION = "The region that what is pushed is meant for; absent: any"
# All of them together fit into a request line.
_SCOPES_MOST, _SCOPE_LONGEST = 8, 1_024
RegionId = Annotated[str, Query(alias="regionId", max_length=255, description=_REGION)]
Scopes = Annotated[
    list[Annotated[str, Query(max_length=_SCOPE_LONGEST)]],
    Query(max_length=_SCOPES_MOST, description="Such as repository:project/name:pull,push"),
]


@operations.get(
    "/docker-registry/registry-push-access",
    operation_id="getTransientPushAccess",
    summary="Get a credential to push images with, for an hour, into the organization's own project",
    tags=["docker-registry"],
    response_model=RegistryPushAccessDto,
    responses=errors(400, 404),
)
@guarded("snapshots.RegistryService/IssuePushAccess")
async def get_transient_push_access(call: Call, region_id: RegionId = "") -> RegistryPushAccessDto:
    request = pb.IssuePushAccessRequest(
        organization_id=call.caller.organization_id, region_id=region_id
    )
    answer = await call.rpc(call.services.registries.IssuePushAccess, request)
    return access_from_proto(answer)


# Asked by programs that push and pull, in the registries' own protocol: with such a credential as Basic authorization.
@operations.get(
    "/registry/token",
    operation_id="getRegistryToken",
    summary="Change a credential to push with into a token for the registry",
    tags=["docker-registry"],
    response_model=RegistryToken,
    responses=errors(400, 401, public=True),
)
@guarded(PUBLIC)
async def get_registry_token(call: Call, scope: Scopes = []) -> RegistryToken:  # noqa: B006 - FastAPI copies it
    username, secret = _shown(call)
    request = pb.IssueRegistryTokenRequest(username=username, secret=secret, scopes=scope)
    answer = await call.rpc(call.services.registries.IssueRegistryToken, request)
    return token_from_proto(answer)


def _shown(call: Call) -> tuple[str, str]:
    """Return username and password of the Basic authorization."""
    scheme, _, sent = call.visit.incoming.get(b"authorization", b"").partition(b" ")
    try:
        pair = base64.b64decode(sent.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        pair = ""
    username, colon, secret = pair.partition(":")
    if scheme.lower() != b"basic" or not colon:
        message = "log in with the username and secret of registry-push-access"
        raise Problem(401, "PUSH_CREDENTIAL_INVALID", message, {"www-authenticate": "Basic"})
    return username, secret
