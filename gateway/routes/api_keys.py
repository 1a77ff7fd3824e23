"""/api-keys: REST in front of ApiKeyService."""

from typing import Annotated

from fastapi import Query, Response

from chassis.grpc.access import Rule
from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.schemas.api_keys import (
    ApiKeyList,
    ApiKeyResponse,
    CreateApiKey,
    key_from_proto,
    secret_from_proto,
)
from gateway.schemas.base import encoded, json
from gateway.schemas.errors import errors
from ratoon.auth.v1 import api_key_service_pb2 as pb
from ratoon.auth.v1.api_key_pb2 import ApiKey

operations = router("/api-keys", "api-keys")
UnusedForDays = Annotated[
    int,
    Query(
        ge=0, le=36_500, description="Only keys that were not used, nor made, within so many days"
    ),
]
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
    call.say_revision(established.api_key.revision)
    if not established.current_key:
        established.current_key = encoded(key_from_proto(established.api_key))
    return Response(established.current_key, media_type="application/json")


@operations.get(
    "",
    operation_id="listApiKeys",
    summary="List keys of the organization",
    response_model=list[ApiKeyList],
    responses=errors(400),
)
@guarded("auth.ApiKeyService/ListApiKeys")
async def list_api_keys(call: Call, unusedForDays: UnusedForDays = 0) -> Response:
    return await listed(call, unused_days=unusedForDays)


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
    answer = await call.rpc(call.services.api_keys.CreateApiKey, creation(call, body))
    call.say_revision(answer.api_key.revision)
    return secret_from_proto(answer.api_key, answer.secret)


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
    return shown(call, answer.api_key)


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


def creation(call: Call, body: CreateApiKey) -> pb.CreateApiKeyRequest:
    request = pb.CreateApiKeyRequest(
        organization_id=call.caller.organization_id,
        name=body.name,
        permissions=body.permissions,
        request_id=call.idempotency_key,
    )
    if body.expires_at is not None:
        request.expire_time.FromDatetime(body.expires_at)
    return request


async def listed(call: Call, *, user_id: str = "", unused_days: int = 0) -> Response:
    organization_id = call.caller.organization_id
    request = pb.ListApiKeysRequest(
        organization_id=organization_id,
        unused_days=unused_days,
        user_id=user_id,
        page_size=call.page_size,
        page_token=call.page_token,
    )
    async with call.visit.gateway.lists.of(organization_id):
        answer = await call.rpc(call.services.api_keys.ListApiKeys, request)
        call.say_next_page(answer.next_page_token)
        return json([key_from_proto(k) for k in answer.api_keys])


def shown(call: Call, key: ApiKey) -> Response:
    call.say_revision(key.revision)
    return json(key_from_proto(key))


async def _delete(call: Call, name: str, *, user_id: str) -> Response:
    request = pb.DeleteApiKeyRequest(
        organization_id=call.caller.organization_id, name=name, user_id=user_id
    )
    await call.rpc(call.services.api_keys.DeleteApiKey, request)
    return Response(status_code=204)
