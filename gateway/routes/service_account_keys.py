"""/organizations/{organizationId}/service-accounts/{accountId}/api-keys: ApiKeyService for accounts without a person."""

from fastapi import Response

from gateway.access import guarded, router
from gateway.call import Call
from gateway.errors import Problem
from gateway.paths import Segment
from gateway.routes.api_keys import creation, listed
from gateway.schemas.api_keys import ApiKeyList, ApiKeyResponse, CreateApiKey, secret_from_proto
from gateway.schemas.errors import errors

operations = router(
    "/organizations/{organizationId:segment}/service-accounts/{accountId:segment}/api-keys",
    "organizations",
)
# How service accounts are told from people, who have keys of their own.
_PREFIX = "service-account-"


@operations.post(
    "",
    operation_id="createServiceAccountApiKey",
    summary="Create a key of a service account; its secret is in the answer and nowhere else",
    status_code=201,
    response_model=ApiKeyResponse,
    responses=errors(404, 409, body=True),
)
@guarded("auth.ApiKeyService/CreateApiKey")
async def create_service_account_api_key(
    call: Call, organizationId: Segment, accountId: Segment, body: CreateApiKey
) -> ApiKeyResponse:
    request = creation(call, body)
    request.user_id = _account(accountId)
    answer = await call.rpc(call.services.api_keys.CreateApiKey, request)
    call.say_revision(answer.api_key.revision)
    return secret_from_proto(answer.api_key, answer.secret)


@operations.get(
    "",
    operation_id="listServiceAccountApiKeys",
    summary="List the keys of a service account",
    response_model=list[ApiKeyList],
    responses=errors(400, 404),
)
@guarded("auth.ApiKeyService/ListApiKeys")
async def list_service_account_api_keys(
    call: Call, organizationId: Segment, accountId: Segment
) -> Response:
    return await listed(call, user_id=_account(accountId))


def _account(account_id: str) -> str:
    if not account_id.startswith(_PREFIX):
        message = "there is no such service account"
        raise Problem(404, "SERVICE_ACCOUNT_NOT_FOUND", message)
    return account_id
