"""/api-keys, what is ours: keys changed and rotated, over UpdateApiKey and RotateApiKey."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.paths import Segment
from gateway.routes.api_keys import shown
from gateway.schemas.api_keys import (
    ApiKeyList,
    ApiKeyResponse,
    RotateApiKey,
    UpdateApiKey,
    secret_from_proto,
)
from gateway.schemas.errors import errors
from ratoon.auth.v1 import api_key_service_pb2 as pb

operations = router("/api-keys", "api-keys")


@operations.patch(
    "/{name:segment}",
    operation_id="updateApiKey",
    summary="Change what one of the caller's own keys may do and how long",
    response_model=ApiKeyList,
    responses=errors(404, 412, body=True),
)
@guarded("auth.ApiKeyService/UpdateApiKey")
async def update_api_key(call: Call, name: Segment, body: UpdateApiKey) -> Response:
    return await _update(call, "", name, body)


@operations.patch(
    "/{userId:segment}/{name:segment}",
    operation_id="updateApiKeyForUser",
    summary="Change what a key of a member or service account may do and how long",
    response_model=ApiKeyList,
    responses=errors(404, 412, body=True),
)
@guarded("auth.ApiKeyService/UpdateApiKey")
async def update_api_key_for_user(
    call: Call, userId: Segment, name: Segment, body: UpdateApiKey
) -> Response:
    return await _update(call, userId, name, body)


@operations.post(
    "/{name:segment}/rotate",
    operation_id="rotateApiKey",
    summary="Give one of the caller's own keys a new secret; the old one works on for the overlap",
    response_model=ApiKeyResponse,
    responses=errors(404, 412, body=True),
)
@guarded("auth.ApiKeyService/RotateApiKey")
async def rotate_api_key(
    call: Call, name: Segment, body: RotateApiKey | None = None
) -> ApiKeyResponse:
    return await _rotate(call, "", name, body)


@operations.post(
    "/{userId:segment}/{name:segment}/rotate",
    operation_id="rotateApiKeyForUser",
    summary="Give a key of a service account a new secret; the old one works on for the overlap",
    response_model=ApiKeyResponse,
    responses=errors(404, 412, body=True),
)
@guarded("auth.ApiKeyService/RotateApiKey")
async def rotate_api_key_for_user(
    call: Call, userId: Segment, name: Segment, body: RotateApiKey | None = None
) -> ApiKeyResponse:
    return await _rotate(call, userId, name, body)


async def _update(call: Call, user_id: str, name: str, body: UpdateApiKey) -> Response:
    request = pb.UpdateApiKeyRequest(
        organization_id=call.caller.organization_id,
        name=name,
        user_id=user_id,
        if_revision=call.if_revision,
    )
    if body.permissions is not None:
        request.permissions.permissions.extend(body.permissions)
        request.permissions.SetInParent()
    if body.expires_at is not None:
        request.expire_time.FromDatetime(body.expires_at)
    elif "expires_at" in body.model_fields_set:
        request.clear_expire_time = True
    answer = await call.rpc(call.services.api_keys.UpdateApiKey, request)
    return shown(call, answer.api_key)


async def _rotate(call: Call, user_id: str, name: str, body: RotateApiKey | None) -> ApiKeyResponse:
    request = pb.RotateApiKeyRequest(
        organization_id=call.caller.organization_id,
        name=name,
        user_id=user_id,
        overlap_seconds=body.overlap_seconds if body else 0,
        if_revision=call.if_revision,
    )
    answer = await call.rpc(call.services.api_keys.RotateApiKey, request)
    call.say_revision(answer.api_key.revision)
    return secret_from_proto(answer.api_key, answer.secret)
