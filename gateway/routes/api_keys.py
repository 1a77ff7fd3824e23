"""/api-keys: REST in front of ApiKeyService."""

from fastapi import Response

from chassis.grpc.access import Rule
from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.api_keys import (
    ApiKeyList,
    ApiKeyResponse,
    CreateApiKey,
    created_from_proto,
    key_from_proto,
)
from gateway.schemas.base import encoded, json
from gateway.schemas.errors import errors
from ratoon.auth.v1 import api_key_service_pb2 as pb

operations = router("/api-keys", "api-keys")
# Behind this one there is no RPC: what was answered when the key was authenticated says it all.
ANY_KEY = Rule(False, frozenset({"api_key"}), "", "", "", False, False, frozenset())


@operations.get(
    "/current",
    operation_id="getCurrentApiKey",
    summary="Get the key that this request is made with",
    response_model=ApiKeyList,
    responses=errors(),
)
@guarded(ANY_KEY)
async def get_current_api_key(call: Call) -> Response:
    established = call.established
    assert established is not None
    assert established.api_key is not None
    if not established.current_key:
        established.current_key = encoded(key_from_proto(established.api_key))
    return Response(established.current_key, media_type="application/json")


@operations.get(
    "",
    operation_id="listApiKeys",
    summary="List keys of the organization",
    response_model=list[ApiKeyList],
    responses=errors(),
)
@guarded("auth.ApiKeyService/ListApiKeys")
async def list_api_keys(call: Call) -> Response:
    organization_id = call.caller.organization_id
    async with call.visit.gateway.lists.of(organization_id):
        request = pb.ListApiKeysRequest(organization_id=organization_id)
        answer = await call.rpc(call.services.api_keys.ListApiKeys, request)
        return json([key_from_proto(k) for k in answer.api_keys])


@operations.post(
    "",
    operation_id="createApiKey",
    summary="Create a key; its secret is in the answer and nowhere else",
    status_code=201,
    response_model=ApiKeyResponse,
    responses=errors(409, body=True),
)
@guarded("auth.ApiKeyService/CreateApiKey")
async def create_api_key(call: Call, body: CreateApiKey) -> ApiKeyResponse:
    request = pb.CreateApiKeyRequest(
        organization_id=call.caller.organization_id,
        name=body.name,
        permissions=body.permissions,
        request_id=call.idempotency_key,
    )
    if body.expires_at is not None:
        request.expire_time.FromDatetime(body.expires_at)
    answer = await call.rpc(call.services.api_keys.CreateApiKey, request)
    return created_from_proto(answer)


@operations.get(
    "/{name:segment}",
    operation_id="getApiKey",
    summary="Get one of the caller's own keys",
    response_model=ApiKeyList,
    responses=errors(404),
)
@guarded("auth.ApiKeyService/GetApiKey")
async def get_api_key(call: Call, name: Segment) -> Response:
    request = pb.GetApiKeyRequest(organization_id=call.caller.organization_id, name=name)
    answer = await call.rpc(call.services.api_keys.GetApiKey, request)
    return json(key_from_proto(answer.api_key))


@operations.delete(
    "/{name:segment}",
    operation_id="deleteApiKey",
    summary="Delete one of the caller's own keys",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("auth.ApiKeyService/DeleteApiKey")
async def delete_api_key(call: Call, name: Segment) -> Response:
    return await _delete(call, name, user_id="")


@operations.delete(
    "/{userId:segment}/{name:segment}",
    operation_id="deleteApiKeyForUser",
    summary="Delete a key of a member",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("auth.ApiKeyService/DeleteApiKey")
async def delete_api_key_for_user(
    call: Call,
    userId: Segment,
    name: Segment,
) -> Response:
    return await _delete(call, name, user_id=userId)


async def _delete(call: Call, name: str, *, user_id: str) -> Response:
    request = pb.DeleteApiKeyRequest(
        organization_id=call.caller.organization_id, name=name, user_id=user_id
    )
    await call.rpc(call.services.api_keys.DeleteApiKey, request)
    return Response(status_code=204)
