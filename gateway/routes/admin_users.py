"""/admin/users: REST in front of UserService, for administrators of the installation."""

import grpc
from fastapi import Response

from chassis.grpc.status import error_info
from gateway.access import guarded, router
from gateway.call import Call
from gateway.errors import Problem
from gateway.paths import Segment
from gateway.schemas.admin_users import (
    AdminUser,
    AdminUserWithKey,
    CreateOrganizationQuota,
    CreateUser,
    admin_user_from_proto,
    key_pair_from_proto,
    quota_to_proto,
    totals_to_proto,
)
from gateway.schemas.errors import errors
from ratoon.auth.v1 import user_service_pb2 as pb
from ratoon.orgs.v1 import organization_service_pb2, region_service_pb2

operations = router("/admin/users", "admin")
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@operations.post(
    "",
    operation_id="adminCreateUser",
    summary="Create a user and the user's personal organization",
    status_code=201,
    response_model=AdminUser,
    responses=errors(404, 409, body=True),
)
@guarded("auth.UserService/CreateUser")
async def admin_create_user(call: Call, body: CreateUser) -> AdminUser:
    region_id = body.personal_organization_default_region_id
    if region_id:
        await _check_region(call, region_id)
    request = pb.CreateUserRequest(
        id=body.id,
        name=body.name,
        email=body.email,
        email_verified=body.email_verified,
        system_admin=body.role == "admin",
        default_region_id=region_id,
        request_id=call.idempotency_key,
    )
    answer = await call.rpc(call.services.users.CreateUser, request)
    if body.personal_organization_quota is not None:
        await _granted(call, answer.organization_id, region_id, body.personal_organization_quota)
    return admin_user_from_proto(answer.user)


@operations.get(
    "",
    operation_id="adminListUsers",
    summary="List all users, oldest first",
    response_model=list[AdminUser],
    responses=errors(400),
)
@guarded("auth.UserService/ListUsers")
async def admin_list_users(call: Call) -> list[AdminUser]:
    request = pb.ListUsersRequest(page_size=call.page_size, page_token=call.page_token)
    async with call.visit.gateway.lists.of(call.caller.user_id):
        answer = await call.rpc(call.services.users.ListUsers, request)
    call.say_next_page(answer.next_page_token)
    return [admin_user_from_proto(u) for u in answer.users]


@operations.get(
    "/{id:segment}",
    operation_id="adminGetUser",
    summary="Get a user",
    response_model=AdminUser,
    responses=errors(404),
)
@guarded("auth.UserService/GetUser")
async def admin_get_user(call: Call, id: Segment) -> AdminUser:
    answer = await call.rpc(call.services.users.GetUser, pb.GetUserRequest(user_id=id))
    return admin_user_from_proto(answer.user)


@operations.post(
    "/{id:segment}/regenerate-key-pair",
    operation_id="adminRegenerateKeyPair",
    summary="Make a user's SSH key pair; the private key is in the answer and nowhere else",
    status_code=201,
    response_model=AdminUserWithKey,
    responses=errors(404),
)
@guarded("auth.UserService/RegenerateKeyPair")
async def admin_regenerate_key_pair(call: Call, id: Segment) -> AdminUserWithKey:
    request = pb.RegenerateKeyPairRequest(user_id=id)
    return key_pair_from_proto(await call.rpc(call.services.users.RegenerateKeyPair, request))


@operations.post(
    "/{id:segment}/disable",
    operation_id="adminDisableUser",
    summary="Refuse every credential of a user from now on",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(400, 404),
)
@guarded("auth.UserService/SetUserDisabled")
async def admin_disable_user(call: Call, id: Segment) -> Response:
    return await _set_disabled(call, id, disabled=True)


@operations.post(
    "/{id:segment}/enable",
    operation_id="adminEnableUser",
    summary="Accept the credentials of a user again",
    status_code=204,
    response_class=Response,
    response_model=None,
    responses=errors(404),
)
@guarded("auth.UserService/SetUserDisabled")
async def admin_enable_user(call: Call, id: Segment) -> Response:
    return await _set_disabled(call, id, disabled=False)


async def _set_disabled(call: Call, user_id: str, *, disabled: bool) -> Response:
    request = pb.SetUserDisabledRequest(user_id=user_id, disabled=disabled)
    await call.rpc(call.services.users.SetUserDisabled, request)
    return Response(status_code=204)


async def _check_region(call: Call, region_id: str) -> None:
    """Refuse an unknown region before anything is made."""
    request = region_service_pb2.ListSharedRegionsRequest()
    shared = await call.rpc(call.services.regions.ListSharedRegions, request)
    if not any(r.id == region_id for r in shared.regions):
        raise Problem(404, "REGION_NOT_FOUND", "there is no such shared region")


async def _granted(
    call: Call, organization_id: str, region_id: str, quota: CreateOrganizationQuota
) -> None:
    """Say what there is when the quota cannot be set now: the user has been made."""
    try:
        await _grant(call, organization_id, region_id, quota)
    except grpc.aio.AioRpcError as failure:
        if failure.code() not in _AWAY:
            raise
        message = (
            f"the user is made and has the organization {organization_id}, with the usual quota: set it there, or"
            " send the same request again if it had an Idempotency-Key"
        )
        raise Problem(503, "QUOTA_NOT_SET", message) from failure


async def _grant(
    call: Call, organization_id: str, region_id: str, quota: CreateOrganizationQuota
) -> None:
    """Set what a new organization may use; totals only where its region enforces any."""
    orgs = call.services.organizations
    await call.rpc(orgs.UpdateQuota, quota_to_proto(organization_id, quota))
    totals = totals_to_proto(organization_id, quota)
    if totals is None:
        return
    totals.region_id = region_id or await _default_region(call, organization_id)
    try:
        await call.rpc(orgs.UpdateRegionQuota, totals)
    except grpc.aio.AioRpcError as refused:
        if error_info(refused).reason != "REGION_QUOTA_NOT_FOUND":
            raise


async def _default_region(call: Call, organization_id: str) -> str:
    request = organization_service_pb2.GetLimitsRequest(organization_id=organization_id)
    own = call.visit.gateway.identity.metadata()
    limits = await call.services.organizations.GetLimits(request, metadata=own)
    return limits.default_region_id
